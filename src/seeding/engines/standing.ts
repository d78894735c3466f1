import type { SeedSpec, TorrentActivity } from '../protocol.ts';
import type { EngineView } from './driver.ts';
import type { Problem } from './problems.ts';

/** What we remember of a wanted torrent in this process. */
export interface Standing {
  spec: SeedSpec;
  view: EngineView | null;
  /** We have started it: if it is stopped after that, somebody's hand did it. */
  isStarted: boolean;
  /** It was told to read everything since it was added. */
  isRead: boolean;
  /** Since when it is seen not to read, after it was told to; null = it reads, or has not been looked at. Monotonic. */
  quietSinceMs: number | null;
  /** It must not be started: bytes are wrong. Ends with `renew`, or when it is whole in the program. */
  bad: Problem | null;
  /** When it is to be read again although nobody mended anything; null = somebody mends it. Monotonic. */
  readAgainAtMs: number | null;
  /** Its bytes are right again, and the program has not begun again with it yet. */
  isMended: boolean;
  /** Files that were found sound while it was being read: what is found wrong of them was read before. */
  renewed: Set<string>;
  /** When its files were last looked at; null = not in this process. */
  servedMs: number | null;
  /** It is wanted no more: whatever is done for it ends soon. */
  gone: AbortController;
  /** Ends with what is done for it; one thing at a time. */
  work: Promise<unknown>;
  /** Something is done for it. */
  isBusy: boolean;
  /** How often something was done for it, to its end: what was seen of it before is old. */
  turns: number;
}

/** A torrent that nothing is known of yet. */
export const newStanding = (spec: SeedSpec): Standing => ({
  ...{ spec, view: null, isStarted: false, isRead: false, quietSinceMs: null },
  ...{ bad: null, readAgainAtMs: null, isMended: false, renewed: new Set<string>(), servedMs: null },
  ...{ gone: new AbortController(), work: Promise.resolve(), isBusy: false, turns: 0 },
});

/** What is wrong with a torrent that is not simply seeded. Pure. */
export function problemOf(title: string, view: EngineView): Problem {
  if (view.state === 'failed')
    return {
      code: 'engine_failed_torrent',
      message: `${title} does not serve a torrent: ${view.message ?? 'it does not say why'}`,
      hint: `Look at it in ${title}. A disk that was not mounted, or files that it may not read, are the usual reasons.`,
    };
  if (!view.isWhole)
    return {
      code: view.state === 'downloading' ? 'engine_downloads' : 'seed_incomplete',
      message:
        view.state === 'downloading'
          ? `${title} wanted to download a torrent of ours: it was stopped`
          : `${title} finds bytes of a torrent missing or wrong: it is not started`,
      hint: 'The files are read again and mended; then it is seeded again by itself. Do not start it by hand: it would write over the stored files.',
    };
  return {
    code: 'stopped_by_hand',
    message: `a torrent was stopped in ${title}`,
    hint: `Start it in ${title}; a restart of WikiSeed starts it, too.`,
  };
}

/** How a torrent stands, as pages and statistics have it; `view` null = the program does not have it, or was never asked. Pure. */
export function activityOf(
  infoHash: string,
  view: EngineView | null,
  problem: Problem | null,
): TorrentActivity {
  const state =
    view === null || view.state === 'failed'
      ? 'broken'
      : view.state === 'downloading'
        ? 'stopped'
        : view.state;
  return {
    infoHash,
    peers: view?.peers ?? 0,
    uploadedBytes: view?.uploadedBytes ?? 0,
    uploadBytesPerSecond: view?.uploadBytesPerSecond ?? 0,
    isReady: state === 'seeding',
    seeders: view?.seeders ?? null,
    leechers: view?.leechers ?? null,
    state,
    problem: problem?.message ?? null,
  };
}
