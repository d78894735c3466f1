import { type Bzip2, type Bzip2Block, bzip2StreamBytes } from './bzip2.ts';
import { type ExportPiece, exportPages, type Page, type Revision } from './export-xml.ts';
import { titleOf, vocabulary, wikitext } from './prose.ts';
import { type SeededRandom, seededRandom } from './random.ts';
import { ownText, type RevisionText, type TextPool } from './text-pool.ts';
import type { SandboxWiki } from './wiki-table.ts';

/** A row of at most 100 pages that follow each other, all content pages or all talk and user pages. */
export interface Segment {
  /** Content pages are in pages-articles; the others only in meta-current and meta-history. */
  readonly isContent: boolean;
  readonly pages: readonly Page[];
  /** The current revisions, compressed. */
  readonly blocks: readonly Bzip2Block[];
  readonly historyPieces: readonly ExportPiece[];
  /** All revisions, compressed; empty in runs without history. */
  readonly historyBlocks: readonly Bzip2Block[];
}

/** The pages of one wiki in one run, in the order of their ids. */
export interface PageModel {
  readonly wiki: SandboxWiki;
  readonly date: string;
  readonly segments: readonly Segment[];
}

interface ModelOptions {
  wiki: SandboxWiki;
  /** YYYYMMDD. */
  date: string;
  seed: number;
  /** What all published files of this wiki's run should add up to, in bytes. */
  budgetBytes: number;
  hasHistory: boolean;
  hasSevenZip: boolean;
  pool: TextPool;
  bzip2: Bzip2;
}

/** Files that exist whatever the pages are: headers, table definitions, site info. Measured on an empty wiki. */
const FIXED_BYTES = 12_000;
/** Compressed cost of one page in the stubs, title lists and tables together, and of one more old revision. Measured. */
const PAGE_METADATA_BYTES = 190;
const OLD_REVISION_METADATA_BYTES = 70;

type TextKind = 'own' | 'short' | 'medium' | 'large';

/** Invents pages until the files made of them would fill the budget. The same options give the same pages. */
export function buildPageModel(options: ModelOptions): PageModel {
  const { wiki, date, budgetBytes } = options;
  const writer = pageWriter(options);
  const segments: Segment[] = [];
  let bytes = FIXED_BYTES;
  let costs: Record<TextKind, number> = { own: 3_000, short: 20_000, medium: 110_000, large: 1_700_000 };
  const add = (kind: TextKind, isContent: boolean, count: number): void => {
    const segment = writer(kind, isContent, count);
    segments.push(segment);
    const cost = segmentBytes(segment, options);
    bytes += cost;
    // The first segment of a kind teaches what its pages really cost.
    if (isContent) costs = { ...costs, [kind]: cost / count };
  };
  const clamp = (count: number): number => Math.max(1, Math.min(100, Math.floor(count)));
  add('own', true, clamp(Math.min(40, (budgetBytes - bytes) / costs.own / 2)));
  for (;;) {
    const left = budgetBytes - bytes;
    if (left < costs.own) return { wiki, date, segments };
    const isContent = segments.length % 4 !== 2;
    let kind: TextKind = 'own';
    const { short, medium, large } = options.pool;
    if (left > 35 * costs.large && large.length > 0) kind = 'large';
    else if (left > 20 * costs.medium && medium.length > 0) kind = 'medium';
    else if (left > 12 * costs.short && short.length > 0) kind = 'short';
    // Half of what is left at most, so that the kinds get smaller towards the end and the sum comes close.
    const share = kind === 'own' ? 1 : 0.5;
    add(kind, isContent, clamp((left * share) / costs[kind]));
  }
}

/** What a segment adds to the sum of all published files. */
function segmentBytes(segment: Segment, options: ModelOptions): number {
  const bits = (blocks: readonly Bzip2Block[]): number =>
    blocks.reduce((sum, block) => sum + block.bitLength, 0);
  const current = bits(segment.blocks) / 8;
  // Content is in pages-articles, its multistream form and meta-current; a split wiki has each of them twice.
  const copies = (segment.isContent ? 3 : 1) * (options.wiki.isSplit ? 2 : 1);
  const oldRevisions = segment.pages.reduce((sum, page) => sum + page.revisions.length - 1, 0);
  const metadata = segment.pages.length * PAGE_METADATA_BYTES + oldRevisions * OLD_REVISION_METADATA_BYTES;
  let total = current * copies + metadata * (options.wiki.isSplit ? 1.6 : 1) + bzip2StreamBytes(0);
  if (options.hasHistory) {
    total += bits(segment.historyBlocks) / 8;
    if (options.hasSevenZip) {
      for (const piece of segment.historyPieces) {
        total += typeof piece === 'string' ? sevenZipEstimate(piece) : (piece.lzma2?.packed.length ?? 0);
      }
    }
  }
  return total;
}

/** Own text of at least this many characters is worth compressing in an archive; less is stored. */
export const sevenZipWorthwhileChars = 24_000;

function sevenZipEstimate(text: string): number {
  return text.length * (text.length >= sevenZipWorthwhileChars ? 0.24 : 1.05);
}

/** Returns a function that invents the next segment; it keeps the page and revision numbers and the titles taken. */
function pageWriter(options: ModelOptions): (kind: TextKind, isContent: boolean, count: number) => Segment {
  const { wiki, date, seed, pool, bzip2 } = options;
  const random = seededRandom(`${seed}/${wiki.dbname}/${date}`);
  // Titles do not depend on the date: a later run describes the same pages, as on the real site.
  const titles = seededRandom(`${seed}/${wiki.dbname}/titles`);
  const words = vocabulary(titles, wiki.script, 800);
  const taken = new Set<string>();
  const contentTitles: string[] = [];
  let pageId = 0;
  let revisionId = 0;

  const freeTitle = (namespace: number): string => {
    let title = pageId === 1 ? 'Main Page' : titleOf(titles, words);
    while (taken.has(`${namespace}:${title}`)) title = `${title} ${pageId}`;
    taken.add(`${namespace}:${title}`);
    return title;
  };
  const text = (kind: TextKind): RevisionText => {
    if (kind === 'own') return ownText(wikitext(random, words, random.between(150, 900)));
    return random.pick(pool[kind]);
  };
  const revisions = (kind: TextKind, redirectTo: string | null): Revision[] => {
    const count = kind === 'own' ? random.between(1, 3) : random.between(1, 2);
    // Revisions of one page are at least an hour apart and end before the run's date.
    let time =
      Date.UTC(Number(date.slice(0, 4)), Number(date.slice(4, 6)) - 1, Number(date.slice(6))) -
      random.between(1, 3e9) * 20;
    const list: Revision[] = [];
    for (let i = 0; i < count; i += 1) {
      revisionId += random.between(1, 3);
      const isRegistered = random.below(5) > 0;
      list.unshift({
        id: revisionId,
        parentId: null,
        timestamp: `${new Date(time).toISOString().slice(0, 19)}Z`,
        user: isRegistered
          ? titleOf(random, words).replace(/[^\p{L} ]/gu, '')
          : `192.0.2.${random.between(1, 254)}`,
        userId: isRegistered ? random.between(1, 90_000) : 0,
        comment:
          random.below(3) === 0
            ? ''
            : `/* ${random.pick(words)} */ ${random.pick(words)} & ${random.pick(words)}`,
        isMinor: random.below(4) === 0,
        text: redirectTo === null ? text(kind) : ownText(`#REDIRECT [[${redirectTo}]]`),
      });
      time -= random.between(3_600_000, 400_000_000);
    }
    // Numbers were given from the newest to the oldest; turn them round so that ids grow with time.
    const ids = list.map((revision) => revision.id).toSorted((a, b) => a - b);
    return list.map((revision, i) => ({ ...revision, id: ids[i] as number, parentId: ids[i - 1] ?? null }));
  };
  const inventPage = (kind: TextKind, isContent: boolean): Page => {
    pageId += 1;
    const namespace = pageId === 1 ? 0 : pageNamespace(random, isContent);
    const isRedirect =
      kind === 'own' && namespace === 0 && contentTitles.length > 3 && random.below(10) === 0;
    const redirectTo = isRedirect ? random.pick(contentTitles) : null;
    const title = freeTitle(namespace);
    if (namespace === 0) contentTitles.push(title);
    return { id: pageId, namespace, title, redirectTo, revisions: revisions(kind, redirectTo) };
  };
  const compress = (pieces: readonly ExportPiece[]): Bzip2Block[] =>
    pieces.flatMap((piece) => (typeof piece === 'string' ? ownBlocks(bzip2, piece) : [piece.block]));

  return (kind, isContent, count) => {
    const pages = Array.from({ length: count }, () => inventPage(kind, isContent));
    const historyPieces = options.hasHistory
      ? exportPages(pages, wiki, { hasHistory: true, hasText: true })
      : [];
    return {
      isContent,
      pages,
      blocks: compress(exportPages(pages, wiki, { hasHistory: false, hasText: true })),
      historyPieces,
      historyBlocks: compress(historyPieces),
    };
  };
}

function pageNamespace(random: SeededRandom, isContent: boolean): number {
  if (!isContent) return random.pick([1, 1, 1, 2, 3]);
  return random.below(12) > 2 ? 0 : random.pick([4, 6, 10, 14, 14]);
}

/** Compresses own text in blocks far below bzip2's limit of 900 kB. */
function ownBlocks(bzip2: Bzip2, text: string): Bzip2Block[] {
  const data = Buffer.from(text);
  const blocks: Bzip2Block[] = [];
  for (let at = 0; at < data.length; at += 600_000) blocks.push(bzip2.block(data.subarray(at, at + 600_000)));
  return blocks;
}
