/** Containers that have checksums of their own, by the last ending of a file's name, in lower case. */
export type Container = 'gz' | 'bz2' | '7z';

const CONTAINERS: readonly Container[] = ['gz', 'bz2', '7z'];

/** How a file is packed, by the end of its name; null when it is not, or in a way that has no checksums of its own. */
export function containerOf(filename: string): Container | null {
  const ending = filename.slice(filename.lastIndexOf('.') + 1).toLowerCase();
  return CONTAINERS.find((container) => container === ending) ?? null;
}

/** SQL condition for the names of which `containerOf` says something; `column` is ours, so nothing needs escaping. */
export const hasContainerSql = (column: string): string =>
  `(${CONTAINERS.map((container) => `${column} LIKE '%.${container}'`).join(' OR ')})`;

/**
 * True for a held file of which nothing is proved: one without a hash and without a container that could be checked. Versions
 * before schema 4 took such files and called them `structure-only`; now they are waited for.
 */
export function isUnverified(file: { filename: string; verification: string | null }): boolean {
  return file.verification === 'structure-only' && containerOf(file.filename) === null;
}
