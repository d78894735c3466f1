import type { Command } from 'commander';
import type { CliIo } from './io.ts';
import { showTorrentCommand, torrentsCommand } from './torrents-command.ts';
import { exportTorrentsCommand } from './torrents-export.ts';
import { verifyTorrentsCommand } from './torrents-verify.ts';

/** `torrents` and what can be done with them. */
export function addTorrentCommands(
  io: CliIo,
  command: (name: string, description: string) => Command,
  setExitCode: (code: number) => void,
): void {
  const torrents = command('torrents', 'list torrents; show, verify and export them')
    .option(
      '--grouping <kind>',
      'only cycle, wiki_run, project, language, history, uncompressed or supplement',
    )
    .option('--cycle <date>', 'only of this cycle, YYYY-MM-DD')
    .option('--json', 'print JSON')
    .action(async (options) => setExitCode(await torrentsCommand(io, options)));
  // Options that `torrents` has too are read by it, wherever they stand: both are asked for.
  const sub = (name: string, description: string): Command =>
    torrents
      .command(name)
      .description(description)
      .option('-c, --config <file>', 'configuration file')
      .option('--json', 'print JSON');
  sub('show', 'everything about one torrent: trackers, webseeds, files, gaps, seeders over time')
    .argument('<name>', 'name or infohash')
    .option('--all', 'list every file, every gap and every count')
    .action(async (name, _, each: Command) =>
      setExitCode(await showTorrentCommand(io, name, each.optsWithGlobals())),
    );
  sub('verify', 'read the files of torrents and compare every piece; records damage, changes no file')
    .argument('[name...]', 'names or infohashes')
    .option('--all', 'every torrent that is not retired')
    .action(async (names, _, each: Command) =>
      setExitCode(await verifyTorrentsCommand(io, names, each.optsWithGlobals())),
    );
  sub('export', 'copy .torrent files and a list of magnet links into a folder; overwrites nothing different')
    .argument('[name...]', 'names or infohashes')
    .option('--all', 'every torrent that is not retired')
    .option('--to <folder>', 'where to')
    .option('--magnet', 'print magnet links only')
    .action(async (names, _, each: Command) =>
      setExitCode(await exportTorrentsCommand(io, names, each.optsWithGlobals())),
    );
}
