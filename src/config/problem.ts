/** One thing that is wrong, or odd, in the configuration. */
export type Problem = {
  /** The key in file form, `download.per_host_connections` or `download.mirrors[1]`; the name of an environment variable; or `` for the whole file. */
  readonly path: string;
  /** Line in the file, counted from 1; null if the cause stands in no line (a missing key, the environment). */
  readonly line: number | null;
  /** Column in the line, counted from 1; null together with `line`. */
  readonly column: number | null;
  /** What is wrong, in words that follow the path and a colon. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  /** Errors keep the daemon from starting, warnings do not. */
  readonly severity: 'error' | 'warning';
};

/**
 * Writes one problem as a line of text, the way compilers do, so that editors can jump to it.
 * @param sourcePath the file the line number belongs to, null if there is none
 * @returns `config.yaml:12:3: error: download.concurrency: must be … (hint)`
 */
export function formatProblem(problem: Problem, sourcePath: string | null): string {
  const { line, column, path, message, hint, severity } = problem;
  const place = [sourcePath, line, line === null ? null : column].filter((part) => part !== null).join(':');
  const subject = path === '' ? '' : `${path}: `;
  return `${place === '' ? '' : `${place}: `}${severity}: ${subject}${message}${hint ? ` ${hint}` : ''}`;
}

/** Writes a path the way it is spoken of: `download.mirrors[1]`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${String(part)}`))
    .join('');
}
