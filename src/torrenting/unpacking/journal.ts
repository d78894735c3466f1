import { join } from 'node:path';
import { z } from 'zod';
import type { Disk, DiskFile } from '../../ports/index.ts';

const Hex = z.string().regex(/^[0-9a-f]+$/);

/** What became of one file. What is broken or too large is not unpacked a second time to find that out. */
const Entry = z.object({
  /** In the torrent. */
  path: z.string(),
  /** Of the packed file: other bytes are another matter. */
  packedSha1: Hex,
  outcome: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('unpacked'),
      facts: z.object({ sizeBytes: z.number().int().nonnegative(), md5: Hex, sha1: Hex, sha256: Hex }),
      mtimeMs: z.number(),
    }),
    z.object({ kind: z.literal('too_large'), maxBytes: z.number() }),
    z.object({ kind: z.literal('broken') }),
  ]),
});
export type JournalEntry = z.infer<typeof Entry>;

/** What was unpacked already, so that hours of work survive a restart. */
export interface Journal {
  find(path: string, packedSha1: string): JournalEntry['outcome'] | null;
  /** Returns at once; `close` throws what the disk said. */
  add(entry: JournalEntry): void;
  close(): Promise<void>;
}

/**
 * Opens, or begins, the journal of a folder: a line for each file that is done. It is written after the file is whole and on the
 * disk, and may lack its end after a crash: then a file is unpacked once more. It is believed as far as the size and the
 * modification time of the file say the same; its hashes are compared when the pieces are cut.
 */
export async function openJournal(disk: Disk, folder: string): Promise<Journal> {
  const path = join(folder, 'journal.jsonl');
  const text = (await disk.readText(path)) ?? '';
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const entries = new Map<string, JournalEntry['outcome']>();
  const keyOf = (file: { path: string; packedSha1: string }): string => `${file.packedSha1} ${file.path}`;
  for (const line of whole.split('\n')) {
    const entry = parse(line);
    if (entry !== null) entries.set(keyOf(entry), entry.outcome);
  }
  await disk.makeDirectory(folder);
  const file: DiskFile = await disk.open(path, 'write');
  let position = Buffer.byteLength(whole);
  await file.truncate(position);
  let writing = Promise.resolve();
  return {
    find: (filePath, packedSha1) => entries.get(keyOf({ path: filePath, packedSha1 })) ?? null,
    add(entry) {
      entries.set(keyOf(entry), entry.outcome);
      const bytes = Buffer.from(`${JSON.stringify(entry)}\n`);
      const at = position;
      position += bytes.length;
      writing = writing.then(() => file.write(bytes, at));
      // Told by `close`.
      writing.catch(() => {});
    },
    async close() {
      try {
        await writing;
      } finally {
        await file.close();
      }
    },
  };
}

/** Null for what is no entry: a power failure can leave anything. */
function parse(line: string): JournalEntry | null {
  try {
    return Entry.parse(JSON.parse(line));
  } catch {
    return null;
  }
}
