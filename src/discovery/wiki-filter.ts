/** Globs on dbname: `*` any characters, `?` one character. A wiki is wanted when it is included and not excluded. */
export interface WikiFilter {
  include: readonly string[];
  exclude: readonly string[];
}

/** Whether a filter wants a name, and the glob that decided; null: none of `include` matches. */
export interface FilterVerdict {
  isWanted: boolean;
  decidedBy: { list: keyof WikiFilter; glob: string } | null;
}

function toPattern(glob: string): RegExp {
  const escaped = glob.replaceAll(/\*+/g, '*').replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`);
}

/** Compiles a filter. */
export function createWikiFilter(filter: WikiFilter): (wikiDbName: string) => boolean {
  const judge = createWikiJudge(filter);
  return (name) => judge(name).isWanted;
}

/** Compiles a filter that says which glob decided: the first of `exclude` that matches, else the first of `include`. */
export function createWikiJudge(filter: WikiFilter): (wikiDbName: string) => FilterVerdict {
  const compile = (list: keyof WikiFilter) =>
    filter[list].map((glob) => ({ pattern: toPattern(glob), decidedBy: { list, glob } }));
  const exclude = compile('exclude');
  const include = compile('include');
  return (name) => {
    const excluded = exclude.find(({ pattern }) => pattern.test(name));
    const decisive = excluded ?? include.find(({ pattern }) => pattern.test(name));
    return {
      isWanted: decisive !== undefined && decisive !== excluded,
      decidedBy: decisive?.decidedBy ?? null,
    };
  };
}
