import type { TorrentGap } from '../../catalog/index.ts';
import { PermanentError } from '../../lib/index.ts';
import { byBytes } from '../byte-order.ts';
import { fileGap, sortGaps } from '../gaps.ts';
import type { Selection } from '../selection.ts';
import { type ContentFile, type LeftOutFile, place } from './content.ts';
import { hashFiles } from './hash-files.ts';
import { proseFiles } from './prose-files.ts';
import { sourceFiles } from './source-files.ts';
import { statusFiles } from './status-files.ts';
import { firstStatusFiles } from './status-files-1-0.ts';

/** One file of the torrent: a dump to be linked, one that was unpacked, or text to be written. */
export type PayloadFile = DumpPayloadFile | UnpackedPayloadFile | TextPayloadFile;
/** A dump file, to be linked. */
export interface DumpPayloadFile {
  kind: 'dump';
  path: string;
  sizeBytes: number;
  content: ContentFile;
}
/** The unpacked bytes of a dump file, which lie in a place of their own. */
export interface UnpackedPayloadFile {
  kind: 'unpacked';
  path: string;
  sizeBytes: number;
  /** Of the packed file. */
  content: ContentFile;
  /** Where the unpacked bytes are. */
  absolutePath: string;
  /** Of the unpacked bytes, lower-case hex. */
  md5: string;
  sha1: string;
  sha256: string;
}
/** Text, to be written. */
export interface TextPayloadFile {
  kind: 'text';
  path: string;
  sizeBytes: number;
  bytes: Uint8Array;
}

/**
 * Everything that goes into a torrent, in byte order of the path. Pure: it knows no clock, host, operator or folder,
 * so the same dump files give the same bytes, and the same infohash, on every machine.
 * @returns the files, the verified dump files that have no safe place in a tree, and all that it does not carry
 * @throws PermanentError `torrent_empty`
 */
export function planPayload(selection: Selection): {
  files: PayloadFile[];
  leftOut: LeftOutFile[];
  gaps: TorrentGap[];
} {
  const { content, leftOut } = place(selection, selection.included);
  if (content.length === 0) {
    throw new PermanentError('torrent_empty', `there is no verified file for ${selection.name}`, {
      hint: 'See the failed downloads of this cycle.',
    });
  }
  const gaps = sortGaps([
    ...selection.gaps,
    ...leftOut.map(({ dump, reason }) => fileGap(dump, 'not_included', reason)),
  ]);
  const files: PayloadFile[] = [
    ...content.map((file) => ({
      kind: 'dump' as const,
      path: file.path,
      sizeBytes: file.dump.sizeBytes,
      content: file,
    })),
    ...Object.entries(textsOf(selection, { content, leftOut, gaps })).map(([path, text]) => {
      const bytes = new TextEncoder().encode(text);
      return { kind: 'text' as const, path, sizeBytes: bytes.length, bytes };
    }),
  ];
  return { files: files.sort((a, b) => byBytes(a.path, b.path)), leftOut: [...leftOut], gaps };
}

/** The added text files by their names; a run of a wiki has none, since no mirror has them. */
export function textsOf(
  selection: Selection,
  facts: { content: readonly ContentFile[]; leftOut: readonly LeftOutFile[]; gaps: readonly TorrentGap[] },
): Record<string, string> {
  const { content, leftOut, gaps } = facts;
  if (selection.grouping === 'wiki_run') return {};
  return {
    ...hashFiles(selection, content),
    ...(selection.payloadVersion === '1.0'
      ? firstStatusFiles(selection, content, leftOut)
      : statusFiles(selection, content, gaps)),
    ...sourceFiles(selection, content),
    ...proseFiles(selection, content),
  };
}
