import { Worker } from 'node:worker_threads';
import { Interrupted, RetryableError, threadScript } from '../../lib/index.ts';
import type { ManifestAddresses } from '../addresses.ts';

/** A manifest as it is on the disk by now. */
export interface BuiltFile {
  /** Path below `publish/`. */
  key: string;
  sizeBytes: number;
  /** Lower-case hex. */
  sha256: string;
  md5: string;
  /** False: exactly that is published under the key already. True: it lies under the key in the folder of unfinished ones. */
  isChanged: boolean;
}

/** Writes manifests. */
export interface ManifestBuilder {
  /**
   * Writes the manifests of one state of the catalog, whole and on stable storage, beside those that are published. Whatever an earlier
   * one left there is gone then.
   * @param told takes the name of a torrent that is being written
   * @throws Interrupted; RetryableError `manifest_not_built`; Node's own errors when the disk refuses
   */
  build(
    wanted: { infoHashes: readonly string[] },
    options: { signal: AbortSignal; told: (name: string) => void },
  ): Promise<BuiltFile[]>;
}

/** What the thread is given. */
export interface BuilderFacts {
  databasePath: string;
  /** Folders, absolute; on one file system. */
  publish: string;
  unfinished: string;
  infoHashes: readonly string[];
  addresses: ManifestAddresses;
  version: string;
}

/** What the thread says; `built` once, last. */
export type BuilderMessage = { kind: 'progress'; name: string } | { kind: 'built'; files: BuiltFile[] };

/**
 * Builds in a thread of its own with a read-only connection: a year of cycles is half a gigabyte of text, and more than ten seconds of
 * work.
 */
export function createThreadBuilder(facts: Omit<BuilderFacts, 'infoHashes'>): ManifestBuilder {
  return {
    async build({ infoHashes }, { signal, told }) {
      if (signal.aborted) throw new Interrupted();
      const worker = new Worker(threadScript(import.meta.url, 'builder'), {
        workerData: { ...facts, infoHashes } satisfies BuilderFacts,
        // Of the rows that pass through none lives on.
        resourceLimits: { maxYoungGenerationSizeMb: 16 },
      });
      const onAbort = (): void => void worker.terminate();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        return await new Promise<BuiltFile[]>((resolve, reject) => {
          worker.on('message', (message: BuilderMessage) => {
            if (message.kind === 'progress') told(message.name);
            else resolve(message.files);
          });
          worker.on('error', (cause) => reject(failed(cause)));
          worker.on('exit', () => reject(signal.aborted ? new Interrupted() : failed(undefined)));
        });
      } finally {
        signal.removeEventListener('abort', onAbort);
        await worker.terminate();
      }
    },
  };
}

/** What the system refused says so itself: a full disk is not the manifest's fault. */
function failed(cause: unknown): unknown {
  if (cause instanceof Error && 'syscall' in cause) return cause;
  return new RetryableError(
    'manifest_not_built',
    `the manifest could not be written${cause instanceof Error ? `: ${cause.message}` : ''}; what was published before stays`,
    { cause },
  );
}
