/** A torrent to be fetched by a program. */
export interface Wish {
  torrentFile: string;
  /** Takes the place of the torrent file, where a program can. */
  magnet?: string;
  infoHash: string;
  /** The folder in which the torrent's own folder appears. */
  target: string;
}

/** A transfer that was begun. */
export interface Transfer {
  /** Resolved when the program says that it has everything, and its files are closed or written. @throws after `timeoutMs` */
  finished(timeoutMs?: number): Promise<void>;
  /** Bytes that the program says it has. */
  doneBytes(): Promise<number>;
  /** The program forgets the torrent; the files stay. */
  remove(): Promise<void>;
}

/** One real BitTorrent program, started once for all of its cells. */
export interface Client {
  name: string;
  /** False: it does not know what a webseed is. */
  knowsWebseeds: boolean;
  /** False: padding is a file like any other to it; it fetches and writes it. */
  knowsPadding: boolean;
  /** False: it leaves out files without bytes. */
  makesEmptyFiles: boolean;
  /** Begins to fetch; the program knows no peers but those of the torrent's trackers and webseeds. */
  get(wish: Wish): Promise<Transfer>;
}
