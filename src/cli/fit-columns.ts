/** A table that is to fit a terminal. */
export interface Columns {
  heads: readonly string[];
  rows: readonly (readonly string[])[];
}

/** Two spaces between columns, as `formatTable` has them. */
const GAP = 2;
/** What of the column that matters most is worth another column: most reasons are no longer. */
const READABLE = 44;

/**
 * Leaves out columns of a table that is too wide, the least important first, until the column that matters most can be read.
 * @param leaveOut heads, the least important first
 * @param keep the head of the column that matters most; it may be cut
 * @returns the columns that are left, and the heads of those that are not
 */
export function fitColumns(
  { heads, rows }: Columns,
  options: { width: number; leaveOut: readonly string[]; keep: string },
): Columns & { left: string[] } {
  const widths = heads.map((head, at) =>
    Math.max(head.length, ...rows.map((row) => [...(row[at] ?? '')].length)),
  );
  const isOut = new Set<string>();
  const needed = (): number =>
    heads.reduce((sum, head, at) => {
      if (isOut.has(head)) return sum;
      const width = widths[at] ?? 0;
      return sum + GAP + (head === options.keep ? Math.min(width, READABLE) : width);
    }, -GAP);
  for (const head of options.leaveOut) {
    if (needed() <= options.width) break;
    isOut.add(head);
  }
  const pick = (cells: readonly string[]): string[] =>
    cells.filter((_, at) => !isOut.has(heads[at] as string));
  return { heads: pick(heads), rows: rows.map(pick), left: heads.filter((head) => isOut.has(head)) };
}
