import { describe } from 'vitest';
import { torrentEngineContract } from './torrent-engine-cases.ts';

describe('transmission-daemon as a torrent engine', () => torrentEngineContract('transmission'));
