import { dirname } from 'node:path';
import type { DumpFile, Torrent, TorrentGap } from '../../catalog/index.ts';
import { formatBytes, PermanentError } from '../../lib/index.ts';
import { byBytes } from '../byte-order.ts';
import { fileGap, sortGaps } from '../gaps.ts';
import { type ContentFile, type LeftOutFile, placeInTree, UNPACKED } from '../payload/content.ts';
import { type PayloadFile, textsOf, type UnpackedPayloadFile } from '../payload/payload.ts';
import { PIECE_COUNT_MIN } from '../piece-length.ts';
import type { Selection, SelectionCatalog, UncompressedSettings } from '../selection.ts';
import type { DamagedFile } from '../sources.ts';
import type { UnpackedFacts } from './protocol.ts';
import { type UnpackDeps, type UnpackedFile, unpackAll } from './unpack-all.ts';

/** The setting, while nothing else is said. */
export const DEFAULT_UNCOMPRESSED: UncompressedSettings = { maxFileSizeBytes: 2e9, types: [] };

const BROKEN = 'it cannot be unpacked: what Wikimedia published is not a whole archive';
const tooLarge = (maxBytes: number): string => `unpacked it is larger than ${formatBytes(maxBytes)}`;

/** What `planPayload` says of packed files, and what came in its way. */
export interface UnpackedPlan {
  files: PayloadFile[];
  leftOut: LeftOutFile[];
  gaps: TorrentGap[];
  /** Packed files that are not what the catalog says; then there is nothing else here. */
  damaged: DamagedFile[];
}

/**
 * Unpacks what a torrent of unpacked files is to carry, and says everything that goes into it, in byte order of the path. The same
 * dump files give the same bytes; a torrent that was recorded must come out as it was.
 * @param options.target folder of the torrent
 * @throws as `unpackAll`; PermanentError `torrent_empty`, `torrent_is_final`
 */
export async function planUnpacked(
  deps: UnpackDeps & { catalog: Pick<SelectionCatalog, 'torrentFiles'> },
  selection: Selection,
  options: { target: string; settings: UncompressedSettings; recorded: Torrent | null; cursor: unknown },
): Promise<UnpackedPlan> {
  const { target, settings, recorded, cursor } = options;
  const { content, leftOut } = placeInTree(selection.included, UNPACKED);
  const result = await unpackAll(deps, {
    ...{ target, cursor, files: content, maxFileBytes: settings.maxFileSizeBytes },
    recorded: recorded === null ? new Map() : recordedFacts(deps.catalog, recorded),
  });
  if (result.damaged.length > 0) return { files: [], leftOut, gaps: [], damaged: result.damaged };
  if (recorded !== null) assertAsRecorded(recordedFacts(deps.catalog, recorded), result.unpacked, recorded);
  if (result.unpacked.length === 0)
    throw new PermanentError('torrent_empty', `nothing could be unpacked for ${selection.name}`, {
      hint: 'Is torrents.uncompressed.max_file_size too small, or torrents.uncompressed.types without files?',
    });
  const refused: LeftOutFile[] = [
    ...leftOut,
    ...result.tooLarge.map(({ dump }) => ({ dump, reason: tooLarge(settings.maxFileSizeBytes) })),
    ...result.broken.map(({ dump }) => ({ dump, reason: BROKEN })),
  ];
  // A recorded torrent says what it said.
  const gaps =
    recorded !== null
      ? selection.gaps
      : sortGaps([
          ...selection.gaps,
          ...refused.map(({ dump, reason }) => fileGap(dump, 'not_included', reason)),
        ]);
  const unpacked = result.unpacked.map(payloadFile);
  unpacked.sort((a, b) => byBytes(a.path, b.path));
  const texts = textsOf(selection, { content: unpacked.map(({ content: file }) => file), leftOut: [], gaps });
  const files: PayloadFile[] = [
    ...unpacked,
    ...Object.entries(texts).map(([path, text]) => {
      const bytes = new TextEncoder().encode(text);
      return { kind: 'text' as const, path, sizeBytes: bytes.length, bytes };
    }),
  ];
  return { files: files.sort((a, b) => byBytes(a.path, b.path)), leftOut: refused, gaps, damaged: [] };
}

function payloadFile({ content, absolutePath, facts }: UnpackedFile): UnpackedPayloadFile {
  const filename = content.path.slice(dirname(content.path).length + 1);
  const file: ContentFile = { ...content, unpacked: { filename, ...facts } };
  return { kind: 'unpacked', path: content.path, absolutePath, content: file, ...facts };
}

function recordedFacts(
  catalog: Pick<SelectionCatalog, 'torrentFiles'>,
  torrent: Torrent,
): Map<DumpFile['id'], UnpackedFacts> {
  const facts = new Map<DumpFile['id'], UnpackedFacts>();
  for (const { dump, sizeBytes, unpacked } of catalog.torrentFiles(torrent.id)) {
    const { md5 = null, sha1 = null, sha256 = null } = unpacked ?? {};
    if (md5 !== null && sha1 !== null && sha256 !== null)
      facts.set(dump.id, { sizeBytes, md5, sha1, sha256 });
  }
  return facts;
}

/** @throws PermanentError `torrent_is_final` */
function assertAsRecorded(
  recorded: ReadonlyMap<DumpFile['id'], UnpackedFacts>,
  unpacked: readonly UnpackedFile[],
  { name }: Torrent,
): void {
  const found = new Map(unpacked.map((file) => [file.content.dump.id, file.facts]));
  for (const [id, facts] of recorded)
    if (found.get(id)?.sha256 !== facts.sha256)
      throw new PermanentError(
        'torrent_is_final',
        `${name} was made before from other bytes of dump file ${id}`,
        {
          hint: 'It stays as it is. Did upstream publish a file anew after ours was lost? Whoever else seeds the torrent has the earlier bytes.',
        },
      );
}

/**
 * The piece length of a torrent that is never split: longer pieces where there would be too many. Nothing is aligned in it, so
 * any length will do.
 */
export function longerPieces(
  pieceLength: number,
  { totalSizeBytes, maxPieces }: { totalSizeBytes: number; maxPieces: number },
): number {
  let length = pieceLength;
  while (totalSizeBytes / length > Math.max(maxPieces, PIECE_COUNT_MIN)) length *= 2;
  return length;
}
