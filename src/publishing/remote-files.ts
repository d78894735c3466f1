import { Interrupted, RetryableError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { ObjectStore } from '../ports/index.ts';
import { sha256Of } from './local-files.ts';

/** Named by its content, as .torrent files are: never changes, so anybody may keep it for a year. */
const IMMUTABLE = 'public, max-age=31536000, immutable';
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
  content: Uint8Array;
  isImmutable: boolean;
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
  const sha256 = sha256Of(file.content);
  const isThere = async (): Promise<boolean> => {
    if (signal.aborted) throw new Interrupted();
    const facts = await store.head(file.key, signal);
    return facts !== null && facts.sha256 === sha256 && facts.sizeBytes === file.content.length;
  };
  if (await isThere()) return false;
  const extension = file.key.slice(file.key.lastIndexOf('.') + 1);
  const facts = {
    contentType: CONTENT_TYPES[extension] ?? 'application/octet-stream',
    cacheControl: file.isImmutable ? IMMUTABLE : CHANGING,
    sha256,
  };
  step('publishing:object_sending');
  await store.put(file.key, file.content, facts, signal);
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
