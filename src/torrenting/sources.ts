import { dirname, join } from 'node:path';
import type { DumpFile } from '../catalog/index.ts';
import { RetryableError, threadScript } from '../lib/index.ts';
import type { Disk, FileFacts, Log } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';
import type { FileHashMessage, FileHashTask } from './file-hash.worker.ts';
import { type ContentFile, placeInTree } from './payload/content.ts';
import { runInThreads } from './thread-pool.ts';

/** What looking at held files needs. */
export interface SourceDeps {
  disk: Disk;
  layout: Layout;
  log: Log;
  signal: AbortSignal;
  onProgress?: (doneBytes: number) => void;
}

/** A held file that is not what the catalog says. */
export interface DamagedFile {
  dump: DumpFile;
  /** False: nothing of it is left under its names, or what is recorded of it is wrong; it must be had anew. */
  isRepairable: boolean;
  /** One sentence, for the catalog and the log. */
  reason: string;
}

/** What was found of the held files; `unchanged` asks again whether the proved bytes are still the same files. */
export interface Proof {
  damaged: DamagedFile[];
  /** @throws RetryableError `dump_file_changed` when a file was touched since it was proved */
  assertUnchanged(): Promise<void>;
}

/**
 * Reads every held file and compares its SHA-1 with the catalog's: a torrent with one damaged byte is broken for ever.
 * Wrong bytes stay where they are: nearly all of them are right, and nobody else may have the file any more. A file that is
 * missing under `dumps/` but still lies in a torrent's folder gets its name back, and is proved like the others.
 * @throws RetryableError `dumps_folder_empty`, `torrent_read_failed`, `dump_file_changed`; Interrupted
 */
export async function proveSources(deps: SourceDeps, files: readonly ContentFile[]): Promise<Proof> {
  const { disk, layout, log } = deps;
  await assertDumpsThere(deps);
  const facts = new Map<string, FileFacts>();
  const damaged: DamagedFile[] = [];
  let doneBytes = 0;
  for (let open = [...files]; open.length > 0; ) {
    for (const file of open) {
      const found = await disk.stat(sourcePath(layout, file.dump));
      if (found !== null) facts.set(file.path, found);
    }
    const hashes = await hashFiles(deps, open, (addedBytes) => {
      doneBytes += addedBytes;
      deps.onProgress?.(doneBytes);
    });
    const restored: ContentFile[] = [];
    for (const [index, file] of open.entries()) {
      const { dump } = file;
      const hash = hashes.get(index) ?? null;
      if (hash !== null && hash.sha1 === dump.sha1 && hash.sizeBytes === dump.sizeBytes) continue;
      const reason =
        hash === null
          ? `${dump.localPath} is recorded as held, but is not there`
          : `${dump.localPath} is damaged: ${hash.sizeBytes} bytes with SHA-1 ${hash.sha1}, recorded are ${dump.sizeBytes} with ${dump.sha1}`;
      log.error(
        { room: 'torrenting', dumpFileId: dump.id, wiki: dump.wikiDbName, reason },
        hash === null ? 'a held file is missing' : 'a held file is damaged',
      );
      if (hash === null && (await restoreFromTrees(deps, file))) {
        restored.push(file);
        continue;
      }
      // Whoever writes to it meanwhile may not be done.
      if (hash !== null) assertSame(dump, facts.get(file.path), await disk.stat(sourcePath(layout, dump)));
      // Right bytes under a wrong size are a wrong record.
      damaged.push({ dump, reason, isRepairable: hash !== null && hash.sha1 !== dump.sha1 });
    }
    open = restored;
  }
  return {
    damaged,
    async assertUnchanged() {
      for (const { dump, path } of files)
        assertSame(dump, facts.get(path), await disk.stat(sourcePath(layout, dump)));
    },
  };
}

/** Where the one stored copy of a dump file lies. */
export function sourcePath(layout: Layout, dump: DumpFile): string {
  if (dump.localPath === null)
    throw new RetryableError('dump_file_missing', `${dump.filename} has no place on this disk`);
  return layout.absolute(dump.localPath);
}

/** A disk that is not mounted is no reason to fetch terabytes again. */
export async function assertDumpsThere({ disk, layout }: Pick<SourceDeps, 'disk' | 'layout'>): Promise<void> {
  const names = await disk.list(layout.dumps);
  if (names.some((name) => !name.startsWith('.'))) return;
  throw new RetryableError(
    'dumps_folder_empty',
    `${layout.dumps} holds nothing, but files are recorded as held`,
    {
      hint: `Is the disk mounted? If the files are really lost, say so with: touch ${layout.dumps}/lost, and restart; they are fetched again.`,
    },
  );
}

/** SHA-1 and size by index; without those that are not there. */
async function hashFiles(
  { layout, signal }: SourceDeps,
  files: readonly ContentFile[],
  onBytes: (addedBytes: number) => void,
): Promise<Map<number, { sha1: string; sizeBytes: number }>> {
  const hashes = new Map<number, { sha1: string; sizeBytes: number }>();
  // The largest first, so that no thread is left alone with it at the end.
  const order = [...files.entries()].sort(([, a], [, b]) => b.dump.sizeBytes - a.dump.sizeBytes);
  await runInThreads<FileHashTask, FileHashMessage>({
    script: threadScript(import.meta.url, 'file-hash'),
    tasks: order.map(([index, file]) => ({ index, path: sourcePath(layout, file.dump) })),
    signal,
    onMessage(message) {
      switch (message.kind) {
        case 'progress':
          onBytes(message.addedBytes);
          return 'more';
        case 'hashed':
          hashes.set(message.index, message);
          return 'done';
        case 'absent':
          return 'done';
        case 'failed':
          // A disk that cannot be read proves nothing about the bytes.
          throw new RetryableError('torrent_read_failed', `cannot read ${message.path}: ${message.message}`);
      }
    },
  });
  return hashes;
}

/** Places where folders of torrents, finished or half built, may hold another name of a file. */
async function treePaths({ disk, layout }: SourceDeps, file: ContentFile): Promise<string[]> {
  const names = await disk.list(layout.torrents);
  // The path of a run's torrent is that of the stored copy itself; the folders of others have it in their own tree.
  const { content } = placeInTree([file.dump]);
  return names.flatMap((name) =>
    content.map(({ path }) =>
      name.startsWith('.building-')
        ? join(layout.torrents, name, name.slice('.building-'.length), path)
        : join(layout.torrents, name, path),
    ),
  );
}

/** Gives a file in a torrent's folder its name under `dumps/` back. */
async function restoreFromTrees(deps: SourceDeps, file: ContentFile): Promise<boolean> {
  const { disk, layout } = deps;
  const source = sourcePath(layout, file.dump);
  for (const path of await treePaths(deps, file)) {
    const found = await disk.stat(path);
    if (found === null || found.isDirectory) continue;
    await disk.makeDirectory(dirname(source));
    await disk.link(path, source);
    await disk.syncDirectory(dirname(source));
    return true;
  }
  return false;
}

/** @throws RetryableError `dump_file_changed` unless it is the same file as before */
export function assertSame(dump: DumpFile, before: FileFacts | undefined, after: FileFacts | null): void {
  const isSame =
    before !== undefined &&
    after !== null &&
    before.inode === after.inode &&
    before.sizeBytes === after.sizeBytes &&
    before.mtimeMs === after.mtimeMs;
  if (isSame) return;
  throw new RetryableError('dump_file_changed', `${dump.localPath} was changed while the torrent was made`, {
    subject: { dumpId: dump.id, wiki: dump.wikiDbName },
  });
}
