import { join, relative, sep } from 'node:path';
import type { SeedSpec } from '../protocol.ts';
import { type EngineTorrent, type EngineView, OUR_LABEL } from './driver.ts';

/** Paths as a program sees them that may run in another container. */
export interface Places {
  of(spec: Pick<SeedSpec, 'contentRoot' | 'torrentFile'>): Pick<EngineTorrent, 'savePath' | 'torrentFile'>;
  /** The program has it over our files. */
  isOurs(view: Pick<EngineView, 'savePath'>, spec: Pick<SeedSpec, 'contentRoot'>): boolean;
  /** It is there because of us: somewhere over our files, or marked by us. All else is the operator's own. */
  isFromUs(view: Pick<EngineView, 'savePath' | 'labels'>): boolean;
}

/** `engineDataDir`: the data directory as the program sees it; null = the same. */
export function createPlaces({
  dataDir,
  engineDataDir,
}: {
  dataDir: string;
  engineDataDir: string | null;
}): Places {
  const seen = (path: string): string =>
    engineDataDir === null ? path : join(engineDataDir, relative(dataDir, path));
  const root = join(seen(dataDir), sep);
  return {
    of: ({ contentRoot, torrentFile }) => ({ savePath: seen(contentRoot), torrentFile: seen(torrentFile) }),
    isOurs: ({ savePath }, { contentRoot }) => join(savePath) === join(seen(contentRoot)),
    isFromUs: ({ savePath, labels }) => labels.includes(OUR_LABEL) || join(savePath, sep).startsWith(root),
  };
}
