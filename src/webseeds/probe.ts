import type { Hash } from 'node:crypto';
import { minutes, RETRY_AFTER_CAP_MS } from '../lib/index.ts';
import type { Metainfo } from '../lib/metainfo.ts';
import type { Clock, Http } from '../ports/index.ts';
import { problemOfRoot, webseedAddress } from './address.ts';
import { askRange, pieceHash, type RangeAnswer, type TimeLeft } from './ask-range.ts';
import type { Candidate } from './candidates.ts';
import { chooseFiles, choosePieces, type SamplePiece } from './sample.ts';
import { type Closeness, type Look, OTHER_BYTES } from './verdict.ts';

/** A host that cannot serve and names no time is left alone for so long. */
const REST_MS = minutes(10);
/** Pieces compared at one root: at most 48 MiB; of the origin, whose bytes we have just proved, one. */
const PIECES = 3;
const PIECES_OF_ORIGIN = 1;
/** So long a root may take for all its answers: as long as its pieces take at the slowest rate, and a little. */
const ROOT_MS = minutes(10);
/** The end of a file: as much as BitTorrent clients ask for at once, for who trickles shows it with more than a byte only. */
const END_BYTES = 16 * 1024;
/** Files looked at by their ends, beside those of the pieces. */
const FILES = 5;
const FILES_OF_ORIGIN = 2;
/** The same on a day on which no pieces are due. */
const FILES_OF_DAY = 2;

/** Looks at roots as a BitTorrent client would use them. */
export interface Prober {
  /**
   * @param day changes which bytes are drawn, so that many looks see many places
   * @returns null when it was not asked: its host rests
   * @throws Interrupted
   */
  look(
    candidate: Candidate,
    torrent: Metainfo,
    closeness: Exclude<Closeness, 'none'>,
    day: string,
    signal: AbortSignal,
  ): Promise<Look | null>;
}

interface Time {
  left: TimeLeft;
  signal: AbortSignal;
}

/** See `Prober`. Requests to a root go one after the other, through the budget of each host. */
export function createProber(deps: { http: Http; clock: Clock }): Prober {
  const { clock } = deps;
  /** Host -> monotonic ms until which it is left alone. */
  const resting = new Map<string, number>();

  async function ask(
    candidate: Candidate,
    torrent: Metainfo,
    range: { path: string; fileSizeBytes: number; from: number; sizeBytes: number },
    hash: Hash | null,
    time: Time,
  ): Promise<RangeAnswer> {
    const url = webseedAddress(candidate.root, torrent.name, range.path);
    const answer = await askRange(deps, { url, ...range }, hash, time.left, time.signal);
    if (answer.kind === 'unproved')
      resting.set(
        new URL(candidate.root).host,
        clock.monotonicMs() + Math.min(answer.restMs ?? REST_MS, RETRY_AFTER_CAP_MS),
      );
    return answer;
  }

  async function comparePiece(
    candidate: Candidate,
    torrent: Metainfo,
    piece: SamplePiece,
    time: Time,
  ): Promise<Look | null> {
    const hash = pieceHash();
    for (const { file, from, sizeBytes } of piece.parts) {
      const range = { path: file.path, fileSizeBytes: file.sizeBytes, from, sizeBytes };
      const answer = await ask(candidate, torrent, range, hash, time);
      if (answer.kind !== 'good') return ofAnswer(answer);
    }
    const wanted = torrent.pieces.subarray(20 * piece.index, 20 * piece.index + 20);
    if (hash.digest().equals(wanted)) return null;
    const names = [...new Set(piece.parts.map(({ file }) => file.path))].join(', ');
    return {
      kind: 'broken',
      isFinal: true,
      reason: `${OTHER_BYTES}: piece ${piece.index} (${names}) does not have its hash`,
    };
  }

  return {
    async look(candidate, torrent, closeness, day, signal) {
      const form = problemOfRoot(candidate.root, torrent);
      if (form !== null) return { kind: 'broken', reason: form, isFinal: true };
      const rests = resting.get(new URL(candidate.root).host);
      if (rests !== undefined && rests > clock.monotonicMs()) return null;
      const time: Time = { left: { ms: ROOT_MS }, signal };
      const isOrigin = candidate.kind === 'origin';
      const seed = `${torrent.infoHash}:${candidate.root}:${day}`;
      const pieces =
        closeness === 'pieces'
          ? choosePieces(torrent, { seed, count: isOrigin ? PIECES_OF_ORIGIN : PIECES })
          : [];
      const seen = new Set(pieces.flatMap(({ parts }) => parts.map(({ file }) => file.path)));
      const files = chooseFiles(torrent, seed).filter(({ path }) => !seen.has(path));
      // A root that has nothing of it is found out by one small request.
      const few = isOrigin ? FILES_OF_ORIGIN : closeness === 'pieces' ? FILES : FILES_OF_DAY;
      for (const { path, sizeBytes } of rotated(files, day).slice(0, few)) {
        // Never all of it: some servers answer that with 200.
        const endBytes = Math.max(1, Math.min(END_BYTES, sizeBytes - 1));
        const range = { path, fileSizeBytes: sizeBytes, from: sizeBytes - endBytes, sizeBytes: endBytes };
        const answer = await ask(candidate, torrent, range, null, time);
        if (answer.kind !== 'good') return ofAnswer(answer);
      }
      for (const piece of pieces) {
        const trouble = await comparePiece(candidate, torrent, piece, time);
        if (trouble !== null) return trouble;
      }
      return { kind: 'works', isProved: pieces.length > 0 };
    },
  };
}

function ofAnswer(answer: Exclude<RangeAnswer, { kind: 'good' }>): Look {
  return answer.kind === 'broken'
    ? { kind: 'broken', reason: answer.reason, isFinal: false }
    : { kind: 'unproved', reason: answer.reason };
}

/** Another one first each day. */
function rotated<T>(list: readonly T[], day: string): T[] {
  const by = Math.floor(Date.parse(day) / 86_400_000) % Math.max(1, list.length);
  return [...list.slice(by), ...list.slice(0, by)];
}
