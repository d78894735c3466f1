import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { OursResult, OursTask } from './download-ours.ts';
import { PROGRAM_FLAGS } from './machine.ts';

export const SEGMENT_BYTES = 100_000_000;
/** No container that could be checked: what is measured is the way of the bytes. */
export const FILENAME = 'aawiki-20261120-pages-articles.xml.gz';

/** A dump site in a process of its own. */
export interface Server {
  port: number;
  /** Sent since it was asked last. */
  sentBytes(): number;
  stop(): void;
}

/** @param from a file that is sent again and again instead of noise */
export async function serve(sizeBytes: number, lieAt = -1, from: readonly string[] = []): Promise<Server> {
  const server = new URL('./download-server.ts', import.meta.url);
  const child = fork(server, [String(sizeBytes), String(lieAt), ...from]);
  let sent = 0;
  child.on('message', (message: { sentBytes?: number }) => {
    sent += message.sentBytes ?? 0;
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', () => reject(new Error('the server did not start')));
    child.on('message', (message: { port?: number }) => message.port !== undefined && resolve(message.port));
  });
  return { port, sentBytes: () => sent, stop: () => void child.kill() };
}

/** In a process of its own, started as `npm start` starts the daemon. */
export async function download(
  task: Omit<OursTask, 'filename' | 'segmentSizeBytes'> & { filename?: string },
): Promise<OursResult> {
  const whole: OursTask = { filename: FILENAME, ...task, segmentSizeBytes: SEGMENT_BYTES };
  const child: ChildProcess = fork(new URL('./download-ours.ts', import.meta.url), [JSON.stringify(whole)], {
    execArgv: PROGRAM_FLAGS,
  });
  return await new Promise<OursResult>((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', () => reject(new Error('our download did not end well')));
  });
}

/** A folder that is there while the work lasts. */
export async function withFolder<T>(root: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(root, 'wikiseed-bench-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
