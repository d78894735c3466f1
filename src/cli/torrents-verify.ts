import { createCatalog, HELD_STATUSES, type HeldSummary } from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import { describeError, formatBytes, isAbort, TorrentId, UsageError, WikiSeedError } from '../lib/index.ts';
import { createTorrentQueries, type TorrentDetail } from '../monitoring/index.ts';
import { createNodeDisk, createSystemClock } from '../ports/index.ts';
import { checkTorrent, type FileFault } from '../seeding/index.ts';
import { createLayout } from '../storage/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { type LoadedConfig, loadForCommand, openForReading } from './load.ts';
import { showReadingBar } from './reading-bar.ts';
import { plainText } from './table.ts';
import { namedTorrents } from './torrents-find.ts';
import { type VerifiedFile, verifyFiles } from './verify-files.ts';
import { type Recorded, recordDamage } from './verify-record.ts';
import { counted } from './words.ts';

/** What was found of one torrent. */
interface VerifiedTorrent {
  name: string;
  infoHash: string;
  /** Why it could not be read; null when it was. */
  problem: string | null;
  pieces: number;
  badPieces: number;
  /** With what the stored dump file behind it turned out to be; null = it is none. */
  faults: (FileFault & { stored: Pick<VerifiedFile, 'state' | 'localPath' | 'reason'> | null })[];
}

/** A list on a screen; the whole is in `--json`. */
const LIST_MAX = 20;

/**
 * `torrents verify`: compares every piece with the `.torrent`; dump files that are to blame are read against their own hashes, and recorded as
 * damaged where they are. @returns 0 all is right, 1 something is not
 */
export async function verifyTorrentsCommand(
  io: CliIo,
  names: readonly string[],
  options: { config?: string; all?: boolean; json?: boolean },
): Promise<number> {
  const loaded = loadForCommand(io, options.config);
  const db = openForReading(loaded.config.wikiseed.dataDir);
  const found: VerifiedTorrent[] = [];
  const damaged: VerifiedFile[] = [];
  try {
    const torrents = namedTorrents(createTorrentQueries({ db, clock: createSystemClock() }), names, options);
    const retired = torrents.find(({ retiredAt }) => retiredAt !== null);
    if (retired !== undefined)
      throw new UsageError(
        `${retired.name} is retired: files of it were deleted to make room`,
        '"wikiseed prune --history" says which.',
      );
    await checkAll(io, { loaded, db, torrents }, (verified, stored) => {
      found.push(verified);
      damaged.push(...stored.filter(({ state }) => state === 'damaged'));
    });
  } finally {
    db.close();
  }
  const recorded = await recordDamage(io, loaded, [
    ...new Map(damaged.map((file) => [file.id, file])).values(),
  ]);
  const isBad = found.some(({ problem, faults }) => problem !== null || faults.length > 0);
  if (options.json === true)
    printJson(io, { torrents: found, recorded: recorded.damaged.size, notRecorded: recorded.problem });
  else print(io, found, recorded);
  return isBad ? EXIT.failed : EXIT.ok;
}

async function checkAll(
  io: CliIo,
  { loaded, db, torrents }: { loaded: LoadedConfig; db: Db; torrents: readonly TorrentDetail[] },
  tell: (verified: VerifiedTorrent, stored: VerifiedFile[]) => void,
): Promise<void> {
  const { config } = loaded;
  const layout = createLayout(config.wikiseed.dataDir);
  const catalog = createCatalog({ db, clock: createSystemClock() });
  const totalBytes = torrents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const bar = showReadingBar(io);
  let doneBytes = 0;
  try {
    for (const [index, torrent] of torrents.entries()) {
      const { name, infoHash } = torrent;
      const verified = {
        name,
        infoHash,
        problem: null,
        pieces: torrent.pieceCount,
        badPieces: 0,
        faults: [],
      };
      try {
        const check = await checkTorrent({
          torrentFile: layout.absolute(torrent.torrentFilePath),
          contentRoot: layout.absolute(torrent.contentPath),
          signal: io.signal,
          onProgress: (bytes) =>
            bar.show({
              ...{ doneBytes: Math.min(doneBytes + bytes, totalBytes), totalBytes },
              ...{ doneFiles: index, totalFiles: torrents.length },
            }),
        });
        if (check.infoHash !== infoHash)
          throw new WikiSeedError(
            'torrent_file_wrong',
            `its .torrent file is of another torrent, ${check.infoHash}`,
            {
              hint: 'Remove that file and start WikiSeed again: it is made anew from the stored files.',
            },
          );
        const stored = await storedBehind(io, { db, loaded, catalog, torrent, faults: check.faults });
        const faults = check.faults.map((fault) => ({ ...fault, stored: stored.get(fault.path) ?? null }));
        tell({ ...verified, pieces: check.pieceCount, badPieces: check.badPieces, faults }, [
          ...stored.values(),
        ]);
      } catch (error) {
        if (isAbort(error)) throw error;
        const hint = error instanceof WikiSeedError && error.hint !== undefined ? ` ${error.hint}` : '';
        tell({ ...verified, problem: `${describeError(error)}${hint}` }, []);
      }
      doneBytes += torrent.sizeBytes;
    }
  } finally {
    bar.stop();
  }
}

/** The dump files behind files that are to blame, read against their own hashes; by their paths in the torrent. */
async function storedBehind(
  io: CliIo,
  given: {
    db: Db;
    loaded: LoadedConfig;
    catalog: ReturnType<typeof createCatalog>;
    torrent: TorrentDetail;
    faults: readonly FileFault[];
  },
): Promise<Map<string, VerifiedFile>> {
  const { catalog, torrent, loaded } = given;
  const { config } = loaded;
  const blamed = new Set(given.faults.filter(({ state }) => state !== 'unproved').map(({ path }) => path));
  // What lies unpacked in a torrent is not what is stored.
  if (blamed.size === 0 || torrent.isUncompressed) return new Map();
  const behind = catalog
    .torrentFiles(TorrentId.parse(torrent.id))
    .filter(({ pathInTorrent, dump }) => blamed.has(pathInTorrent) && HELD_STATUSES.includes(dump.ourStatus));
  const files = behind.flatMap(({ dump }) =>
    dump.localPath === null ? [] : [dump as unknown as HeldSummary],
  );
  const verified = await verifyFiles(
    {
      ...{
        catalog,
        disk: createNodeDisk(),
        layout: createLayout(config.wikiseed.dataDir),
        signal: io.signal,
      },
      pieceLength: config.torrents.pieceLengthBytes,
      onProgress: () => {},
    },
    files,
  );
  const byId = new Map(verified.map((file) => [file.id as number, file]));
  return new Map(
    behind.flatMap(({ dump, pathInTorrent }) => {
      const file = byId.get(dump.id);
      return file === undefined ? [] : [[pathInTorrent, file] as const];
    }),
  );
}

const WORDS: Readonly<Record<FileFault['state'], string>> = {
  missing: 'missing',
  wrong_size: 'of the wrong size',
  unreadable: 'could not be read',
  damaged: 'damaged',
  suspect: 'perhaps damaged: a piece that it shares with others is wrong',
  unproved: 'not proved: it shares a piece with a file that could not be read',
};

function print(io: CliIo, found: readonly VerifiedTorrent[], recorded: Recorded): void {
  const line = (text: string): void => void io.out.write(`${plainText(text)}\n`);
  for (const { name, problem, pieces, badPieces, faults } of found) {
    if (problem !== null) line(`${name}: ${problem}`);
    else if (faults.length === 0) line(`${name}: all ${counted(pieces, 'piece')} are right`);
    else {
      line(
        `${name}: ${badPieces} of ${counted(pieces, 'piece')} wrong, ${counted(faults.length, 'file')} not proved`,
      );
      for (const { path, sizeBytes, state, reason, stored } of faults.slice(0, LIST_MAX)) {
        line(
          `  ${path} (${formatBytes(sizeBytes)}): ${WORDS[state]}${reason === null ? '' : ` (${reason})`}`,
        );
        if (stored !== null) line(`    ${storedWords(stored)}`);
      }
      if (faults.length > LIST_MAX) line(`  and ${faults.length - LIST_MAX} more; --json lists all`);
    }
  }
  const stored = found.flatMap(({ faults }) => faults.flatMap((fault) => fault.stored ?? []));
  const isOwn = found.some(({ faults }) =>
    faults.some(({ state, stored: file }) => state !== 'unproved' && file?.state !== 'damaged'),
  );
  if (recorded.problem !== null)
    line(`What is damaged could not be recorded, and still counts as whole: ${recorded.problem}`);
  else if (recorded.damaged.size > 0)
    line('What is damaged is recorded so. To put it right: wikiseed verify --repair');
  else if (stored.some(({ state }) => state === 'damaged'))
    line('What is damaged was known to be. To put it right: wikiseed verify --repair');
  if (isOwn)
    line(
      'What only the folder of a torrent has wrong is made anew when it is removed there and WikiSeed is started again.',
    );
}

function storedWords({
  state,
  localPath,
  reason,
}: Pick<VerifiedFile, 'state' | 'localPath' | 'reason'>): string {
  if (state === 'sound') return `the stored file ${localPath} is sound`;
  if (state === 'unread') return `the stored file ${localPath} could not be read: ${reason}`;
  return `the stored file ${localPath} is damaged: ${reason}`;
}
