import { namespaces, type Page } from './export-xml.ts';
import type { PageModel, Segment } from './page-model.ts';

/** A part of a split wiki, or the whole: `number` is empty for the whole, `range` like `-p1p41242` or empty. */
export interface Part {
  readonly number: string;
  readonly range: string;
  readonly segments: readonly Segment[];
}

/** Split wikis are cut into this many parts, as far as they have segments enough. */
const PART_COUNT = 3;

/** Cuts segments into parts of about the same size, with the page ranges that their names carry. */
export function splitParts(segments: readonly Segment[]): Part[] {
  const bits = (list: readonly Segment[]): number =>
    list.reduce((sum, segment) => sum + segment.blocks.reduce((own, block) => own + block.bitLength, 0), 0);
  const bitsPerPart = bits(segments) / PART_COUNT;
  const parts: Part[] = [];
  let first = 1;
  let own: Segment[] = [];
  segments.forEach((segment, i) => {
    own.push(segment);
    const isLast = i === segments.length - 1;
    if (!isLast && (parts.length === PART_COUNT - 1 || bits(own) < bitsPerPart)) return;
    const lastPage: Page | undefined = segment.pages.at(-1);
    const last = lastPage?.id ?? first;
    parts.push({ number: String(parts.length + 1), range: `-p${first}p${last}`, segments: own });
    first = last + 1;
    own = [];
  });
  return parts;
}

/** Times of a run's jobs: they end one after another from 08:00 on the run's date, 41 minutes apart. */
export function jobClock(date: string): () => string {
  let time = Date.UTC(Number(date.slice(0, 4)), Number(date.slice(4, 6)) - 1, Number(date.slice(6)), 8);
  return () => {
    time += 41 * 60_000 + 7_000;
    return new Date(time).toISOString().slice(0, 19).replace('T', ' ');
  };
}

/** The site's name and namespaces as the API's JSON has them. */
export function siteInfo({ wiki }: PageModel): string {
  const list = [...namespaces].map(([id, name]) => [id, { id, case: 'first-letter', name }]);
  return JSON.stringify({
    batchcomplete: true,
    query: {
      general: { sitename: wiki.sitename, base: `${wiki.url}/wiki/Main_Page`, dbname: wiki.dbname },
      namespaces: Object.fromEntries(list),
    },
  });
}
