import { Interrupted, RetryableError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { ObjectStore, ObjectStream } from '../ports/index.ts';

/**
 * .torrent files: named by their infohash, which covers what they promise but not the addresses around it. Those are looked at every
 * day; with older ones a client still gets every byte. A day.
 */
const SLOWLY_CHANGING = 'public, max-age=86400';
/** Replaced whenever a fact in it changes: 5 minutes. */
const CHANGING = 'public, max-age=300';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  torrent: 'application/x-bittorrent',
  json: 'application/json',
  txt: 'text/plain; charset=utf-8',
};

/** One object to publish. */
export interface RemoteFile {
  key: string;
  content: Uint8Array | ObjectStream;
  /** Lower-case hex. */
  sha256: string;
  /** What it says of the world may be a day old. */
  changesSlowly: boolean;
}

/**
 * Puts an object unless the store has it already, and looks afterwards whether it is really there.
 * @returns true when it was written
 * @throws RetryableError `object_not_verified`
 */
export async function publishObject(
  store: ObjectStore,
  file: RemoteFile,
  signal: AbortSignal,
): Promise<boolean> {
  const { content, sha256 } = file;
  const sizeBytes = content instanceof Uint8Array ? content.length : content.sizeBytes;
  const isThere = async (): Promise<boolean> => {
    if (signal.aborted) throw new Interrupted();
    const facts = await store.head(file.key, signal);
    return facts !== null && facts.sha256 === sha256 && facts.sizeBytes === sizeBytes;
  };
  if (await isThere()) return false;
  const extension = file.key.slice(file.key.lastIndexOf('.') + 1);
  const facts = {
    contentType: CONTENT_TYPES[extension] ?? 'application/octet-stream',
    cacheControl: file.changesSlowly ? SLOWLY_CHANGING : CHANGING,
    sha256,
  };
  step('publishing:object_sending');
  await store.put(file.key, content, facts, signal);
  step('publishing:object_put');
  if (await isThere()) return true;
  throw new RetryableError(
    'object_not_verified',
    `the object store does not show ${file.key} as it was written`,
    {
      subject: { key: file.key },
    },
  );
}
