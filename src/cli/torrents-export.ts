import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describeError, UsageError, WikiSeedError } from '../lib/index.ts';
import { createTorrentQueries, type TorrentDetail } from '../monitoring/index.ts';
import { createSystemClock } from '../ports/index.ts';
import { createLayout } from '../storage/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';
import { plainText } from './table.ts';
import { namedTorrents } from './torrents-find.ts';
import { counted } from './words.ts';

/** What the command understands. */
export interface ExportOptions {
  config?: string;
  all?: boolean;
  to?: string;
  magnet?: boolean;
  json?: boolean;
}

const MAGNETS = 'magnets.txt';

/** `torrents export`: `.torrent` files and magnet links into a folder, or links alone. What is there and different stays. */
export async function exportTorrentsCommand(
  io: CliIo,
  names: readonly string[],
  options: ExportOptions,
): Promise<number> {
  if (options.magnet !== true && (options.to ?? '').trim() === '')
    throw new UsageError(
      'no folder is named',
      'Name one with --to <folder>, or print links only with --magnet.',
    );
  if (options.magnet === true && options.to !== undefined)
    throw new UsageError(
      '--magnet and --to exclude each other: --magnet prints links and writes nothing',
      `Leave out --magnet: the links are written to ${MAGNETS} in the folder, too. Or leave out --to.`,
    );
  const { config } = loadForCommand(io, options.config);
  const { dataDir } = config.wikiseed;
  const db = openForReading(dataDir);
  let torrents: TorrentDetail[];
  try {
    torrents = namedTorrents(createTorrentQueries({ db, clock: createSystemClock() }), names, options);
  } finally {
    db.close();
  }
  if (options.magnet === true) {
    const links = torrents.map(({ name, infoHash, magnetLink }) => ({ name, infoHash, magnetLink }));
    if (options.json === true) printJson(io, links);
    else io.out.write(links.map(({ magnetLink }) => `${plainText(magnetLink)}\n`).join(''));
    return EXIT.ok;
  }
  const folder = resolve(io.cwd, options.to as string);
  const { absolute } = createLayout(dataDir);
  const wanted = torrents.map(({ name, torrentFilePath }) => ({
    path: join(folder, `${name}.torrent`),
    content: readTorrent(absolute(torrentFilePath)),
  }));
  const magnets = torrents.map(({ magnetLink }) => `${magnetLink}\n`).join('');
  wanted.push({ path: join(folder, MAGNETS), content: Buffer.from(magnets) });
  const written = writeAll(folder, wanted);
  if (options.json === true)
    printJson(io, { folder, torrents: torrents.map(({ name, infoHash }) => ({ name, infoHash })), written });
  else
    io.out.write(
      `${counted(torrents.length, 'torrent')} and ${MAGNETS} in ${folder}: ${counted(written.length, 'file')} written, ${wanted.length - written.length} were there\n`,
    );
  return EXIT.ok;
}

function readTorrent(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new WikiSeedError('torrent_file_unreadable', `${path} cannot be read: ${describeError(error)}`, {
      hint: 'WikiSeed makes a .torrent file that is missing anew when it is started.',
    });
  }
}

/** All or nothing, as far as can be known before. @returns the paths that were not there */
function writeAll(folder: string, files: readonly { path: string; content: Buffer }[]): string[] {
  const isThere = ({ path }: { path: string }): boolean => existsSync(path);
  const other = files.filter((file) => isThere(file) && !readFileSync(file.path).equals(file.content));
  if (other.length > 0)
    throw new WikiSeedError(
      'export_would_overwrite',
      `${other.map(({ path }) => path).join(', ')} ${other.length === 1 ? 'is' : 'are'} there already, and different; nothing was written`,
      { hint: 'Name another folder with --to, or move those files away.' },
    );
  const missing = files.filter((file) => !isThere(file));
  try {
    mkdirSync(folder, { recursive: true });
    // Never over a file that came meanwhile.
    for (const { path, content } of missing) writeFileSync(path, content, { flag: 'wx' });
  } catch (error) {
    throw new WikiSeedError('export_failed', `${folder} cannot be written: ${describeError(error)}`, {
      hint: 'Name a folder that you may write to with --to.',
    });
  }
  return missing.map(({ path }) => path);
}
