import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bzip2, type Bzip2Block, bzip2Stream } from './bzip2.ts';
import { exportFooter, exportHeader } from './export-xml.ts';
import { fileDigests } from './file-digests.ts';
import type { PageModel, Segment } from './page-model.ts';
import { writeRunFile } from './run-files.ts';
import { splitParts } from './run-parts.ts';

/** Which content export: the current revisions of all pages, or every revision. */
export type ContentExportKind = 'current' | 'history';

/** A content export's date as its folders and files write it: `2026-01-01` of `20260101`. */
export function contentDate(runDate: string): string {
  return `${runDate.slice(0, 4)}-${runDate.slice(4, 6)}-${runDate.slice(6)}`;
}

/** Folder of all exports of one kind below a dump tree. */
export function contentRoot(root: string, kind: ContentExportKind): string {
  return join(root, 'other', `mediawiki_content_${kind}`);
}

/** Folder with the files of one export; `date` is `YYYY-MM-DD`. */
export function contentFolder(root: string, kind: ContentExportKind, dbname: string, date: string): string {
  return join(contentRoot(root, kind), dbname, date, 'xml', 'bzip2');
}

/** An export of a wiki that is not split, but has this many segments, comes in two files. */
const SEGMENTS_OF_TWO_FILES = 4;

interface ContentOptions {
  root: string;
  model: PageModel;
  kind: ContentExportKind;
  bzip2: Bzip2;
}

/**
 * Writes one content export: the files by page range, then `SHA256SUMS`, then the empty `_SUCCESS`. The pages are those of
 * the classic run of that date.
 * @returns the sum of the files' sizes in bytes
 */
export async function generateContentExport(options: ContentOptions): Promise<number> {
  const { root, model, kind } = options;
  const { wiki } = model;
  const date = contentDate(model.date);
  const folder = contentFolder(root, kind, wiki.dbname, date);
  await mkdir(folder, { recursive: true });
  const header = options.bzip2.block(Buffer.from(exportHeader(wiki)));
  const footer = options.bzip2.block(Buffer.from(exportFooter));
  const sums: string[] = [];
  let totalBytes = 0;
  let minute = 0;
  const nextTime = (): Date => {
    minute += 1;
    return new Date(Date.parse(`${date}T06:00:00Z`) + minute * 60_000);
  };
  for (const segments of fileSegments(model)) {
    const first = segments[0]?.pages[0]?.id ?? 1;
    const last = segments.at(-1)?.pages.at(-1)?.id ?? first;
    const path = join(folder, `${wiki.dbname}-${date}-p${first}p${last}.xml.bz2`);
    const blocks: Bzip2Block[] = segments.flatMap((s) => (kind === 'current' ? s.blocks : s.historyBlocks));
    const file = await writeRunFile(path, nextTime(), async (write) => {
      for (const part of bzip2Stream([header, ...blocks, footer])) await write(part);
      return undefined;
    });
    const { sha256 } = await fileDigests(path);
    sums.push(`${sha256}  ${file.name}\n`);
    totalBytes += file.sizeBytes;
  }
  for (const [name, text] of [
    ['SHA256SUMS', sums.toSorted((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join('')],
    ['_SUCCESS', ''],
  ] as const) {
    const time = nextTime();
    await writeFile(join(folder, name), text);
    await utimes(join(folder, name), time, time);
  }
  return totalBytes;
}

function fileSegments({ wiki, segments }: PageModel): (readonly Segment[])[] {
  if (wiki.isSplit) return splitParts(segments).map((part) => part.segments);
  if (segments.length < SEGMENTS_OF_TWO_FILES) return [segments];
  const half = Math.ceil(segments.length / 2);
  return [segments.slice(0, half), segments.slice(half)];
}
