import { describe } from 'vitest';
import { torrentEngineContract } from './torrent-engine-cases.ts';

describe('the embedded client as a torrent engine', () => torrentEngineContract('webtorrent'));
