import type { TorrentActivity } from '../protocol.ts';
import type { EngineView } from './driver.ts';
import type { Problem } from './problems.ts';

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
