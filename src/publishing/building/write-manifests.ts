import type { ManifestFile } from '../manifest.ts';
import { manifestText, type TorrentOutline } from '../manifest-text.ts';
import { BETWEEN_TORRENTS, manifestEnd, manifestStart, torrentPieces } from './manifest-pieces.ts';
import type { FileMark, Snapshot, TorrentEntry } from './snapshot.ts';

/** A file that is being written. */
export interface Output {
  write(bytes: Uint8Array): void;
  /** It is whole, and on stable storage. */
  finish(): void;
}

/** What the manifests are made from and where they go. */
export interface WriteDeps {
  snapshot: Snapshot;
  /** Infohashes of the torrents that may be named. */
  infoHashes: ReadonlySet<string>;
  /** Of this WikiSeed. */
  version: string;
  /** Starts a file by its key below `publish/`. */
  open(key: string): Output;
  /** Told the name of each torrent once a page of its files is written. */
  told(name: string): void;
}

/** Files read and written at once: 300 KB of text. */
const PAGE = 400;
const bytesOf = (text: string): Uint8Array => Buffer.from(text);

/**
 * Writes `manifests/<cycle>.json`, the same facts for one cycle alone, and the two manifests that name everything. No more than a page
 * of files is in memory, and the names of those of one torrent.
 */
export function writeManifests(deps: WriteDeps): void {
  const { snapshot, open } = deps;
  const torrents = snapshot.torrents(deps.infoHashes);
  const all = open('manifest.json');
  const start = (output: Output, named: readonly TorrentEntry[]): void =>
    output.write(bytesOf(manifestStart(newestOf(named), named.length === 0)));
  start(all, torrents);
  const outlines: TorrentOutline[] = [];
  const distinct = createDistinctBytes();
  const cycles = Map.groupBy(torrents, ({ entry }) => entry.cycle_date);
  for (const [cycleDate, own] of cycles) {
    const ofCycle = open(`manifests/${cycleDate}.json`);
    start(ofCycle, own);
    for (const [index, torrent] of own.entries()) {
      if (index > 0) ofCycle.write(bytesOf(BETWEEN_TORRENTS));
      if (outlines.length > 0) all.write(bytesOf(BETWEEN_TORRENTS));
      const { outline, pages } = readTorrent(deps, torrent, distinct.add);
      for (const piece of torrentPieces(torrent.entry, pages)) {
        const bytes = bytesOf(piece);
        ofCycle.write(bytes);
        all.write(bytes);
      }
      outlines.push(outline);
    }
    ofCycle.write(bytesOf(manifestEnd(false)));
    ofCycle.finish();
  }
  all.write(bytesOf(manifestEnd(torrents.length === 0)));
  all.finish();
  const text = open('manifest.txt');
  const lastUpdated = new Date(newestOf(torrents)).toISOString();
  const facts = { lastUpdated, distinctBytes: distinct.bytes(), torrents: outlines };
  text.write(bytesOf(manifestText(facts, deps)));
  text.finish();
}

function newestOf(torrents: readonly TorrentEntry[]): number {
  return torrents.reduce((newest, { newestMs }) => Math.max(newest, newestMs), 0);
}

/** `outline` is complete once all pages were taken. */
function readTorrent(
  { snapshot, told }: WriteDeps,
  { id, entry }: TorrentEntry,
  add: (mark: FileMark, isUnpacked: boolean, sizeBytes: number) => void,
): { outline: TorrentOutline; pages: Iterable<ManifestFile[]> } {
  const outline: TorrentOutline = { torrent: entry, fileCount: 0, projects: new Map() };
  function* pages(): Generator<ManifestFile[]> {
    const marks = snapshot.marks(id);
    for (let from = 0; from < marks.length; from += PAGE) {
      const page: ManifestFile[] = [];
      for (const mark of marks.slice(from, from + PAGE)) {
        const file = snapshot.file(mark);
        page.push(file);
        add(mark, entry.is_uncompressed, file.size_bytes);
        outline.projects.set(file.project, (outline.projects.get(file.project) ?? 0) + 1);
      }
      outline.fileCount += page.length;
      yield page;
      told(entry.name);
    }
  }
  return { outline, pages: pages() };
}

/** A file is in several torrents: its bytes count once, and those that were unpacked from it once more. */
function createDistinctBytes() {
  const met = [new Set<number>(), new Set<number>()] as const;
  let bytes = 0;
  return {
    add({ dumpId }: FileMark, isUnpacked: boolean, sizeBytes: number): void {
      const known = met[isUnpacked ? 1 : 0];
      if (known.has(dumpId)) return;
      known.add(dumpId);
      bytes += sizeBytes;
    },
    bytes: () => bytes,
  };
}
