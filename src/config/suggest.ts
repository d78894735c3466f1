/**
 * The known name that a misspelt one most likely means.
 * @returns the nearest name within two slips (one in short names), or null if none is close
 */
export function nearestName(wrong: string, known: readonly string[]): string | null {
  const slipsAllowed = wrong.length <= 4 ? 1 : wrong.length <= 8 ? 2 : 3;
  let best: { name: string; slips: number } | null = null;
  for (const name of known) {
    const slips = slipsBetween(plain(wrong), plain(name));
    if (slips <= slipsAllowed && (best === null || slips < best.slips)) best = { name, slips };
  }
  return best?.name ?? null;
}

// `perHostConnections` and `per-host-connections` are the same name in another dress.
function plain(name: string): string {
  return name.toLowerCase().replace(/[-_\s]/g, '');
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function slipsBetween(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const isSame = from[row - 1] === to[column - 1];
      let slips = Math.min(
        (rows[row - 1]?.[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (rows[row - 1]?.[column - 1] ?? 0) + (isSame ? 0 : 1),
      );
      const isSwap =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (isSwap) slips = Math.min(slips, (rows[row - 2]?.[column - 2] ?? 0) + 1);
      current.push(slips);
    }
    rows.push(current);
  }
  return rows[from.length]?.[to.length] ?? Number.POSITIVE_INFINITY;
}
