import { RetryableError, seconds } from '../../lib/index.ts';
import { type Http, readBody } from '../../ports/index.ts';
import { type Bencoded, decodeBencode } from './bencode-answer.ts';
import { plausible, type ScrapeSession, type SwarmCounts } from './types.ts';

/** The address stays below 2,000 letters, which every server takes: `info_hash=` and 60 letters for each torrent. */
const BATCH = 25;
const ANSWER_BYTES_MAX = 256 * 1024;
const SILENCE_MS = seconds(15);
const REASON_MAX = 300;

/** Where a tracker answers scrapes (BEP 48); null = it does not: the last part of its path does not begin with `announce`. */
export function scrapeAddress(announceUrl: string): string | null {
  const url = new URL(announceUrl);
  const cut = url.pathname.lastIndexOf('/') + 1;
  const last = url.pathname.slice(cut);
  if (!last.startsWith('announce')) return null;
  url.pathname = `${url.pathname.slice(0, cut)}scrape${last.slice('announce'.length)}`;
  return url.href;
}

/** Asks a tracker over http or https (BEP 48). `address` as `scrapeAddress` gives it. */
export function createHttpScrape({ http, address }: { http: Http; address: string }): ScrapeSession {
  return {
    batchSize: BATCH,
    async scrape(infoHashes, signal) {
      const query = infoHashes.map((hash) => `info_hash=${hash.replaceAll(/../g, '%$&')}`).join('&');
      const url = `${address}${address.includes('?') ? '&' : '?'}${query}`;
      const response = await http.request({ url, signal, inactivityMs: SILENCE_MS, maxRedirects: 2 });
      if (response.status !== 200) {
        response.discard();
        const { status } = response;
        throw new RetryableError(`http_${status}`, `it answers with status ${status}`);
      }
      return readScrapeAnswer(await readBody(response, ANSWER_BYTES_MAX), infoHashes);
    },
    close() {},
  };
}

/**
 * What an answer says of the torrents that were asked for. What it says of others, and what cannot be a number of peers, is as if it were not said.
 * @throws RetryableError `tracker_answer_bad`, `tracker_refused`
 */
export function readScrapeAnswer(
  body: Buffer,
  asked: readonly string[],
): { counts: Map<string, SwarmCounts>; restMs: number } {
  const root = parse(body);
  const failure = root.get('failure reason');
  if (failure !== undefined) throw new RetryableError('tracker_refused', wordsOf(failure));
  const files = root.get('files');
  if (!(files instanceof Map)) throw bad('it names no files');
  const counts = new Map<string, SwarmCounts>();
  for (const hash of asked) {
    const key = Buffer.from(hash, 'hex').toString('latin1');
    // The tracker of bittorrent-tracker writes the bytes of the key as if they were letters, each in UTF-8.
    const entry = files.get(key) ?? files.get(Buffer.from(key, 'utf8').toString('latin1'));
    if (!(entry instanceof Map)) continue;
    const seeders = plausible(entry.get('complete'));
    // One number that cannot be takes the others' credit, too.
    if (seeders === null) continue;
    const leechers = plausible(entry.get('incomplete'));
    counts.set(hash, { seeders, leechers, completed: plausible(entry.get('downloaded')) });
  }
  return { counts, restMs: restOf(root.get('flags')) };
}

function parse(body: Buffer): Map<string, Bencoded> {
  let root: Bencoded;
  try {
    root = decodeBencode(body);
  } catch (error) {
    throw bad((error as Error).message);
  }
  if (root instanceof Map) return root;
  throw bad('it is no dictionary');
}

function restOf(flags: Bencoded | undefined): number {
  const given = flags instanceof Map ? flags.get('min_request_interval') : undefined;
  return typeof given === 'number' && given > 0 ? seconds(given) : 0;
}

/** Text from the network: of one line, and not too long. */
function wordsOf(value: Bencoded): string {
  return Buffer.isBuffer(value) ? plainReason(value.toString('utf8')) : 'it gave no reason';
}

/** One line of at most 300 letters, without anything that steers a terminal. */
export function plainReason(text: string): string {
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim();
  return plain === '' ? 'it gave no reason' : plain.slice(0, REASON_MAX);
}

function bad(why: string): RetryableError {
  return new RetryableError('tracker_answer_bad', `its answer is not one to a scrape: ${why}`);
}
