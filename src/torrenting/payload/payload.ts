import { PermanentError } from '../../lib/index.ts';
import { byBytes } from '../byte-order.ts';
import type { Selection } from '../selection.ts';
import { type ContentFile, placeInTree } from './content.ts';
import { hashFiles } from './hash-files.ts';
import { proseFiles } from './prose-files.ts';
import { sourceFiles } from './source-files.ts';
import { statusFiles } from './status-files.ts';

/** One file of the torrent: a dump to be linked, or text to be written. */
export type PayloadFile =
  | { path: string; sizeBytes: number; kind: 'dump'; content: ContentFile }
  | { path: string; sizeBytes: number; kind: 'text'; bytes: Uint8Array };

/**
 * Everything that goes into a torrent, in byte order of the path. Pure: it knows no clock, host, operator or folder,
 * so the same dump files give the same bytes, and the same infohash, on every machine.
 * @throws PermanentError `torrent_empty`, `unsafe_name`, `name_collision`
 */
export function planPayload(selection: Selection): PayloadFile[] {
  if (selection.included.length === 0) {
    throw new PermanentError('torrent_empty', `there is no verified file for ${selection.name}`, {
      hint: 'See the failed downloads of this cycle.',
    });
  }
  const content = selection.included.map(placeInTree).sort((a, b) => byBytes(a.path, b.path));
  const texts = {
    ...hashFiles(selection.cycleDate, content),
    ...statusFiles(selection, content),
    ...sourceFiles(selection, content),
    ...proseFiles(selection, content),
  };
  const files: PayloadFile[] = [
    ...content.map((file) => ({
      kind: 'dump' as const,
      path: file.path,
      sizeBytes: file.dump.sizeBytes,
      content: file,
    })),
    ...Object.entries(texts).map(([path, text]) => {
      const bytes = new TextEncoder().encode(text);
      return { kind: 'text' as const, path, sizeBytes: bytes.length, bytes };
    }),
  ];
  assertDistinct(files.map((file) => file.path));
  return files.sort((a, b) => byBytes(a.path, b.path));
}

/**
 * Refuses paths that fall together on a file system which ignores case (Windows, macOS), folders included.
 * @throws PermanentError `name_collision`
 */
export function assertDistinct(paths: readonly string[]): void {
  const spellings = new Map<string, string>();
  const seen = new Set<string>();
  for (const path of paths) {
    if (seen.has(path)) throw collision(path, path);
    seen.add(path);
    const segments = path.split('/');
    for (let end = 1; end <= segments.length; end += 1) {
      const prefix = segments.slice(0, end).join('/');
      const known = spellings.get(prefix.toLowerCase());
      if (known !== undefined && known !== prefix) throw collision(known, prefix);
      spellings.set(prefix.toLowerCase(), prefix);
    }
  }
}

function collision(a: string, b: string): PermanentError {
  return new PermanentError(
    'name_collision',
    `${a} and ${b} would be one name on a file system that ignores case`,
  );
}
