import { describe } from 'vitest';
import { torrentEngineContract } from './torrent-engine-cases.ts';

describe('transmission-daemon as a torrent engine, run as root', () =>
  torrentEngineContract('transmission', { isRoot: true }));
