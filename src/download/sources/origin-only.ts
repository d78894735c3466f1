import type { SourceBook } from './types.ts';

/**
 * The book for a file of which upstream gives no hash: nobody could tell other bytes from the right ones, so they come from
 * where upstream's word comes from. What is learned of the origin counts for all files.
 */
export function originOnly(book: SourceBook): SourceBook {
  return {
    ...book,
    sourcesFor: (row) => book.sourcesFor(row, 'origin'),
    readyAt: (row) => book.readyAt(row, 'origin'),
  };
}
