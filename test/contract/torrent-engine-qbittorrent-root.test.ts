import { describe } from 'vitest';
import { torrentEngineContract } from './torrent-engine-cases.ts';

describe('qbittorrent-nox as a torrent engine, run as root', () =>
  torrentEngineContract('qbittorrent', { isRoot: true }));
