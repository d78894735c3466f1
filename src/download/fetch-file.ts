import { CorruptError, type DumpFileId, Interrupted, RetryableError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import {
  type Clock,
  type Disk,
  type Http,
  type HttpResponse,
  type Log,
  statusError,
} from '../ports/index.ts';
import type { SpaceGuard } from '../storage/index.ts';
import type { FileDigests, HashLane } from './hash-lanes.ts';
import { hashFromDisk, receive, type Target } from './receive.ts';
import { cursorOf, type ResumeCursor, rangeHeaders, readRangeAnswer } from './resume.ts';

/** What fetching needs from outside. */
export interface FetchDeps {
  http: Http;
  disk: Disk;
  clock: Clock;
  space: SpaceGuard;
  pieceLengthBytes: number;
}

/** One file to fetch. */
export interface FetchTask {
  dumpFileId: DumpFileId;
  sizeBytes: number;
  url: string;
  partPath: string;
  lane: HashLane;
  signal: AbortSignal;
  log: Log;
  /** What an earlier attempt knew of the bytes in the part file. */
  cursor: ResumeCursor | null;
  onProgress(state: { doneBytes: number; cursor: ResumeCursor | null }): void;
}

/** All bytes are in the part file and on stable storage. */
export interface Fetched {
  digests: FileDigests;
  /** Address that gave the (last) bytes. */
  fetchedFromUrl: string;
}

/**
 * Completes the part file: hashes what is there, asks for the rest, appends. Restarts from 0 once when the server cannot
 * continue. The part file stays for the next attempt unless it proved useless.
 * @throws RetryableError, PermanentError, HaltPipelineError or Interrupted, as the answer deserves
 */
export async function fetchFile(deps: FetchDeps, task: FetchTask): Promise<Fetched> {
  const { sizeBytes } = task;
  let partBytes = (await deps.disk.stat(task.partPath))?.sizeBytes ?? 0;
  if (partBytes > sizeBytes) {
    await deps.disk.remove(task.partPath);
    partBytes = 0;
  }
  const reservation = await deps.space.reserve(sizeBytes - partBytes);
  const file = await deps.disk.open(task.partPath, 'write').catch((error: unknown) => {
    reservation.release();
    throw error;
  });
  try {
    step('download:part_opened');
    let { cursor } = task;
    const reservedFrom = partBytes;
    const target: Target = {
      file,
      lane: task.lane,
      sizeBytes,
      signal: task.signal,
      onGrown: (doneBytes) => {
        step('download:part_grown');
        reservation.written(Math.max(0, doneBytes - reservedFrom));
        task.onProgress({ doneBytes, cursor });
      },
    };
    task.lane.begin(deps.pieceLengthBytes);
    let haveBytes = await hashFromDisk(target, partBytes);
    let fetchedFromUrl = task.url;
    for (let round = 1; haveBytes < sizeBytes; round += 1) {
      const response = await ask(deps, task, haveBytes, cursor);
      const answer = readRangeAnswer(response, { haveBytes, sizeBytes });
      if (answer.kind === 'append' || answer.kind === 'whole') {
        if (answer.kind === 'whole' && haveBytes > 0) await startOver(target, deps.pieceLengthBytes);
        if (answer.kind === 'whole') haveBytes = 0;
        step('download:answered');
        cursor = cursorOf(task.url, response);
        task.onProgress({ doneBytes: haveBytes, cursor });
        fetchedFromUrl = response.url;
        await receive(response, haveBytes, target);
        haveBytes = sizeBytes;
        continue;
      }
      response.discard();
      if (answer.kind === 'status')
        throw statusError(response.status, response.headers, response.url, deps.clock.now());
      const { host } = new URL(response.url);
      if (answer.kind === 'wrong_size')
        throw new CorruptError(
          'size_mismatch',
          `${host} has ${answer.gotBytes} bytes, expected ${sizeBytes}`,
        );
      if (round > 1) throw new RetryableError('range_mismatch', `${host}: ${answer.reason}`);
      task.log.warn({ dumpFileId: task.dumpFileId, reason: answer.reason }, 'cannot resume, starting over');
      await startOver(target, deps.pieceLengthBytes);
      haveBytes = 0;
      cursor = null;
    }
    const digests = await task.lane.finish();
    await file.sync();
    step('download:part_synced');
    return { digests, fetchedFromUrl };
  } finally {
    reservation.release();
    await file.close();
  }
}

async function startOver(target: Target, pieceLengthBytes: number): Promise<void> {
  await target.file.truncate(0);
  target.lane.begin(pieceLengthBytes);
  target.onGrown(0);
}

async function ask(
  deps: FetchDeps,
  task: FetchTask,
  haveBytes: number,
  cursor: ResumeCursor | null,
): Promise<HttpResponse> {
  const response = await deps.http.request({
    url: task.url,
    headers: rangeHeaders(task.url, haveBytes, cursor),
    signal: task.signal,
    // Bytes may come from anywhere: the hash decides. Mirrors send large files to other hosts.
    followOtherHosts: true,
  });
  if (!task.signal.aborted) return response;
  response.discard();
  throw new Interrupted();
}
