/** How a table is laid out. */
export interface TableOptions {
  heads?: readonly string[];
  /** Columns, counted from 0, whose cells stand to the right: numbers. */
  numbers?: readonly number[];
  /** Widest line in characters; the widest flexible column gives way, cut with an ellipsis. Default: no limit. */
  width?: number;
  /** Columns that may be cut, counted from 0. Default: all. */
  flexible?: readonly number[];
  /** Put before every line. Default: nothing. */
  indent?: string;
}

const GAP = '  ';
/** No column is cut below this: a few letters still tell rows apart. */
const NARROWEST = 8;

/**
 * Lays rows out in aligned columns of plain text, two spaces apart, no trailing spaces. Control characters in cells become
 * `?`: a file name from the network must not move the cursor of a terminal.
 * @returns lines joined by line ends, without one at the end; empty for no rows
 */
export function formatTable(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  if (rows.length === 0) return '';
  const cells = [...(options.heads === undefined ? [] : [options.heads]), ...rows].map((row) =>
    row.map(plainText),
  );
  const columnCount = Math.max(...cells.map((row) => row.length));
  const widths = Array.from({ length: columnCount }, (_, at) =>
    Math.max(...cells.map((row) => lengthOf(row[at] ?? ''))),
  );
  const indent = options.indent ?? '';
  narrow(
    widths,
    options.flexible,
    (options.width ?? Number.POSITIVE_INFINITY) - indent.length - GAP.length * (columnCount - 1),
  );
  return cells
    .map((row) => {
      const padded = widths.map((width, at) => {
        const cell = shorten(row[at] ?? '', width);
        const fill = ' '.repeat(Math.max(0, width - lengthOf(cell)));
        return options.numbers?.includes(at) ? fill + cell : cell + fill;
      });
      return `${indent}${padded.join(GAP)}`.trimEnd();
    })
    .join('\n');
}

/** Takes from the widest flexible column, one character at a time, until everything fits or nothing can give way. */
function narrow(widths: number[], flexible: readonly number[] | undefined, room: number): void {
  const mayGive = flexible ?? widths.map((_, at) => at);
  for (let sum = widths.reduce((a, b) => a + b, 0); sum > room; sum -= 1) {
    const widest = mayGive.reduce(
      (best, at) => ((widths[at] ?? 0) > (widths[best] ?? 0) ? at : best),
      mayGive[0] ?? 0,
    );
    if ((widths[widest] ?? 0) <= NARROWEST) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

/** Cuts a text to `width` characters, the last of them an ellipsis. */
export function shorten(text: string, width: number): string {
  const letters = [...text];
  return letters.length <= width ? text : `${letters.slice(0, Math.max(0, width - 1)).join('')}…`;
}

/** Text without control characters, so that it cannot steer a terminal. */
export function plainText(text: string): string {
  // C0, DEL, C1 and the marks that turn the direction of writing.
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '?');
}

/** Characters as people count them, close enough for names and numbers. */
function lengthOf(text: string): number {
  return [...text].length;
}
