import { describe } from 'vitest';
import { torrentEngineContract } from './torrent-engine-cases.ts';

describe('the embedded client as a torrent engine, in a process of its own', () =>
  torrentEngineContract('webtorrent', { settings: { utp: true, webrtc: true, stunServers: [] } }));
