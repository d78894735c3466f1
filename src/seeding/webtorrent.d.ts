/** The part of webtorrent 3 that we use; the package carries no types. */
declare module 'webtorrent' {
  import type { EventEmitter } from 'node:events';

  interface TorrentFile {
    /** `<torrent name>/<path>`, in the order of the info dictionary. */
    path: string;
    length: number;
    /** Bytes before it in the torrent. */
    offset: number;
    done: boolean;
  }
  export interface Torrent extends EventEmitter {
    infoHash: string;
    ready: boolean;
    done: boolean;
    numPeers: number;
    /** Bytes since it was added. */
    uploaded: number;
    uploadSpeed: number;
    files: TorrentFile[];
    destroy(options: { destroyStore: boolean }, done: (error?: Error) => void): void;
  }
  interface ClientOptions {
    torrentPort?: number | { port: number; host: string };
    maxConns?: number;
    dht?: boolean;
    lsd?: boolean;
    utPex?: boolean;
    utp?: boolean;
    natUpnp?: boolean;
    natPmp?: boolean;
    webSeeds?: boolean;
    uploadLimit?: number;
    userAgent?: string;
    tracker?: { wrtc: false };
  }
  interface AddOptions {
    store: new (chunkLength: number, options: never) => object;
    storeOpts: object;
    storeCacheSlots: number;
    path: string;
    skipVerify: boolean;
    deselect: boolean;
    destroyStoreOnDestroy: boolean;
  }
  export default class WebTorrent extends EventEmitter {
    constructor(options: ClientOptions);
    add(torrentFile: Uint8Array, options: AddOptions): Torrent;
    address(): { port: number } | null;
    destroy(done: (error?: Error) => void): void;
  }
}
