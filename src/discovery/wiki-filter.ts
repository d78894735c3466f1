/** Globs on dbname: `*` any characters, `?` one character. A wiki is wanted when it is included and not excluded. */
export interface WikiFilter {
  include: readonly string[];
  exclude: readonly string[];
}

function toPattern(glob: string): RegExp {
  const escaped = glob.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`);
}

/** Compiles a filter. */
export function createWikiFilter(filter: WikiFilter): (wikiDbName: string) => boolean {
  const include = filter.include.map(toPattern);
  const exclude = filter.exclude.map(toPattern);
  return (name) => include.some((p) => p.test(name)) && !exclude.some((p) => p.test(name));
}
