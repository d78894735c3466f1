import { Interrupted, RetryableError, seconds } from '../../lib/index.ts';
import type { Clock, DatagramChannel, Datagrams, Random } from '../../ports/index.ts';
import { plainReason } from './http-scrape.ts';
import { plausible, type ScrapeSession, type SwarmCounts } from './types.ts';

/** All that fits into a datagram that no network cuts (BEP 15). */
const BATCH = 74;
const CONNECT_MAGIC = 0x41727101980n;
const CONNECT = 0;
const SCRAPE = 2;
const FAILED = 3;
/** The first wait; doubled once. A download would wait longer, a statistic need not. */
const WAIT_MS = seconds(15);
const TRIES = 2;
/** Valid for a minute (BEP 15); a request may wait that long itself. */
const CONNECTION_MS = seconds(45);

/** What the client is made from. */
export interface UdpScrapeDeps {
  datagrams: Datagrams;
  clock: Clock;
  random: Random;
  address: { host: string; port: number };
}

/** Asks a tracker over UDP (BEP 15). Datagrams that belong to no request of ours are dropped, as if they never came. */
export function createUdpScrape(deps: UdpScrapeDeps): ScrapeSession {
  const { clock, random } = deps;
  let channel: DatagramChannel | null = null;
  let isClosed = false;
  let connection: { id: Buffer; sinceMs: number } | null = null;
  let hear: (message: Buffer) => void = () => {};
  let fail: (error: Error) => void = () => {};

  /** Looking up a name cannot be cut short; its end is not waited for. */
  async function opened(signal: AbortSignal): Promise<DatagramChannel> {
    if (channel !== null) return channel;
    const opening = deps.datagrams.open(deps.address, {
      onMessage: (message) => hear(message),
      onError: (error) => fail(error),
    });
    const late = opening.then((fresh) => {
      if (isClosed) fresh.close();
      else channel = fresh;
      return fresh;
    });
    late.catch(() => {});
    return orAbort(late, signal);
  }

  async function exchange(
    request: { prefix: Buffer; action: number; body: Buffer; leastBytes: number },
    signal: AbortSignal,
  ): Promise<Buffer> {
    const { send } = await opened(signal);
    const transaction = Buffer.from(random.hex(4), 'hex');
    const head = Buffer.alloc(4);
    head.writeUInt32BE(request.action);
    const packet = Buffer.concat([request.prefix, head, transaction, request.body]);
    const heard = new Promise<Buffer>((resolve, reject) => {
      hear = (message) => {
        if (message.length < 8 || !message.subarray(4, 8).equals(transaction)) return;
        const action = message.readUInt32BE(0);
        if (action === FAILED)
          reject(new RetryableError('tracker_refused', plainReason(message.toString('utf8', 8))));
        else if (action !== request.action || message.length < request.leastBytes)
          reject(new RetryableError('tracker_answer_bad', `its answer is too short, or to another question`));
        else resolve(message.subarray(8));
      };
      fail = (error) => reject(new RetryableError('network', `it cannot be reached: ${error.message}`));
    });
    heard.catch(() => {});
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      send(packet);
      const wait = new AbortController();
      const waited = clock.sleep(WAIT_MS * 2 ** attempt, AbortSignal.any([wait.signal, signal])).then(
        () => null,
        () => null,
      );
      const answer = await Promise.race([heard, waited]).finally(() => wait.abort());
      if (signal.aborted) throw new Interrupted();
      if (answer !== null) return answer;
    }
    throw new RetryableError('tracker_timeout', 'it does not answer');
  }

  async function connect(signal: AbortSignal): Promise<Buffer> {
    if (connection !== null && clock.monotonicMs() - connection.sinceMs < CONNECTION_MS) return connection.id;
    const magic = Buffer.alloc(8);
    magic.writeBigUInt64BE(CONNECT_MAGIC);
    const sinceMs = clock.monotonicMs();
    const answer = await exchange(
      { prefix: magic, action: CONNECT, body: Buffer.alloc(0), leastBytes: 16 },
      signal,
    );
    connection = { id: Buffer.from(answer.subarray(0, 8)), sinceMs };
    return connection.id;
  }

  return {
    batchSize: BATCH,
    async scrape(infoHashes, signal) {
      const prefix = await connect(signal);
      const body = Buffer.concat(infoHashes.map((hash) => Buffer.from(hash, 'hex')));
      const leastBytes = 8 + 12 * infoHashes.length;
      const answer = await exchange({ prefix, action: SCRAPE, body, leastBytes }, signal);
      return { counts: readCounts(answer, infoHashes), restMs: 0 };
    },
    close() {
      isClosed = true;
      channel?.close();
      channel = null;
      connection = null;
    },
  };
}

/** Three numbers for each torrent, in the order they were asked for. */
export function readCounts(answer: Buffer, asked: readonly string[]): Map<string, SwarmCounts> {
  const counts = new Map<string, SwarmCounts>();
  for (const [index, hash] of asked.entries()) {
    const [seeders, completed, leechers] = [0, 4, 8].map((from) =>
      plausible(answer.readUInt32BE(12 * index + from)),
    ) as [number | null, number | null, number | null];
    // The protocol has no word for "I do not know it": such a torrent comes as three zeros.
    const isUnknown = seeders === 0 && completed === 0 && leechers === 0;
    if (seeders !== null && !isUnknown) counts.set(hash, { seeders, leechers, completed });
  }
  return counts;
}

async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw new Interrupted();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Interrupted());
    signal.addEventListener('abort', onAbort, { once: true });
  });
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', onAbort));
}
