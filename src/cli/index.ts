import { Command, CommanderError } from 'commander';
import { isDamage, isDatabaseTrouble } from '../db/index.ts';
import { describeError, formatBytes, isAbort, UsageError, WikiSeedError } from '../lib/index.ts';
import { VERSION } from '../version.ts';
import { addCatalogCommands } from './catalog-commands.ts';
import { configCheck, configShow } from './config-command.ts';
import { bandwidthCommand, limitCommand, pauseCommand, resumeCommandLine } from './control-commands.ts';
import { addDatabaseCommands } from './database-commands.ts';
import { demoCommand } from './demo-command.ts';
import { DEMO_DEFAULTS } from './demo-folder.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { type CliIo, createProcessIo } from './io.ts';
import { cancelJobs, retryJobs } from './job-actions.ts';
import { jobsCommand } from './jobs-command.ts';
import { explainDamage, explainTrouble } from './load.ts';
import { pruneCommand } from './prune-command.ts';
import { runCommand } from './run-command.ts';
import { statusCommand } from './status-command.ts';
import { addTorrentCommands } from './torrents-commands.ts';
import { verifyCommand } from './verify-command.ts';

export { createProcessIo } from './io.ts';

const EXIT_HELP = `
Exit codes: 0 ok, 1 failed, 2 bad configuration or usage, 3 finished with gaps, 11 already running, 130 interrupted.
Configuration: --config, else $WIKISEED_CONFIG, else ./config.yaml, else /etc/wikiseed/config.yaml.
Try it without any configuration: wikiseed demo`;

/** Runs one command line. @returns the exit code; never throws */
export async function runCli(args: readonly string[], io: CliIo = createProcessIo()): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (isAbort(error)) return EXIT.interrupted;
    const told = isDamage(error)
      ? explainDamage(error)
      : isDatabaseTrouble(error)
        ? explainTrouble(error)
        : error;
    io.err.write(`wikiseed: ${textOf(told)}\n`);
    return exitCodeOf(told);
  }
}

/** An error for the operator. */
function textOf(error: unknown): string {
  // Where somebody thought about what to do, the chain of causes would only repeat it in the words of the system.
  if (error instanceof WikiSeedError && error.hint !== undefined) return `${error.message}\n  ${error.hint}`;
  // A list of problems with the configuration is as long as it is.
  if (error instanceof UsageError) return error.message;
  if (error instanceof WikiSeedError || !(error instanceof Error)) return describeError(error);
  return `${describeError(error)}\n${error.stack ?? ''}`;
}

function buildProgram(io: CliIo, setExitCode: (code: number) => void): Command {
  const program = new Command('wikiseed');
  program
    .description(
      'Preserves every Wikimedia dump: finds, downloads, proves, uploads, torrents, seeds and publishes them.',
    )
    .version(VERSION)
    .addHelpText('after', EXIT_HELP)
    .showHelpAfterError('(wikiseed --help lists commands and options)')
    .configureOutput({
      writeOut: (text) => void io.out.write(text),
      writeErr: (text) => void io.err.write(text),
    })
    .exitOverride();
  const command = (name: string, description: string): Command => {
    const sub = program.command(name).description(description);
    return sub.option('-c, --config <file>', 'configuration file');
  };

  command('run', 'work as a daemon: discover, download, upload, torrent, seed, publish')
    .option('--until-idle', 'stop as soon as nothing is left to do without new upstream data')
    .option('--dry-run', 'what would be fetched, as "wikiseed plan" says it; changes nothing')
    .option('--pretty', 'write log lines for people instead of JSON')
    .option('--json', 'with --dry-run: print the plan as JSON')
    .action(async (options) => setExitCode(await runCommand(io, options)));
  program
    .command('demo')
    .description(
      'one whole cycle against a sandbox on this machine: no network, no credentials, no configuration',
    )
    .option('--exit', 'stop once the cycle is published, instead of staying up to be looked at')
    .option('--data-dir <folder>', 'where everything is kept', './demo-data')
    .option('--wikis <count>', `how many wikis the sandbox has (default: ${DEMO_DEFAULTS.wikis})`)
    .option(
      '--size <size>',
      `how large all their dump files are together (default: ${formatBytes(DEMO_DEFAULTS.sizeBytes)})`,
    )
    .option('--port <port>', 'port of the status page; 0 = any free one', '8000')
    .action(async (options) => setExitCode(await demoCommand(io, options)));
  command('status', 'one screen: cycles, queue, storage, seeding, halts, next wake-ups')
    .option('--json', 'print JSON')
    .action(async (options) => setExitCode(await statusCommand(io, options)));
  const jobs = command('jobs', 'list jobs, newest first; show or change single ones')
    .argument('[id]', 'show this one job with all its attempts')
    .option('--status <word>', 'pending, in_progress, completed, failed, quarantined or cancelled')
    .option('--type <job type>', 'for example download_dump')
    .option('--page <n>', 'page of the list', '1')
    .option('--json', 'print JSON')
    .action(async (id, options) => setExitCode(await jobsCommand(io, id, options)));
  // Options that `jobs` has too are read by it, wherever they stand: both are asked for.
  const jobCommand = (name: string, description: string): Command =>
    jobs
      .command(name)
      .description(description)
      .option('-c, --config <file>', 'configuration file')
      .option('--json', 'print JSON');
  jobCommand('show', 'show one job with all its attempts')
    .argument('<id>', 'number of the job')
    .action(async (id, _, sub: Command) => setExitCode(await jobsCommand(io, id, sub.optsWithGlobals())));
  jobCommand(
    'retry',
    'try jobs again that failed, were put in quarantine or cancelled, or wait for a later try',
  )
    .argument('[id...]', 'numbers of the jobs')
    .option('--failed', 'all that failed or were put in quarantine')
    .option('--type <job type>', 'with --failed: only of this type')
    .action(async (ids, _, sub: Command) => setExitCode(await retryJobs(io, ids, sub.optsWithGlobals())));
  jobCommand('cancel', 'take jobs out of the queue; running ones are told to stop')
    .argument('<id...>', 'numbers of the jobs')
    .action(async (ids, _, sub: Command) => setExitCode(await cancelJobs(io, ids, sub.optsWithGlobals())));
  jobCommand('limit', 'how many run at once, kept over restarts')
    .argument('<name>', 'job type, or target for all types that use it')
    .argument('<n>', 'a whole number, or "default" for what the configuration says')
    .action(async (name, count, _, sub: Command) =>
      setExitCode(await limitCommand(io, name, count, sub.optsWithGlobals())),
    );
  const scoped = (name: string, description: string): Command =>
    command(name, description)
      .argument('[name]', 'a job type (download_dump), a target (dumps, internet_archive, disk), or all')
      .option('--type <job type>', 'when a target has the same name')
      .option('--target <target>', 'when a job type has the same name')
      .option('--json', 'print JSON');
  scoped('pause', 'begin nothing new of a job type, of a target or at all, until it is resumed')
    .option('--reason <text>', 'shown on the status page')
    .action(async (name, options) => setExitCode(await pauseCommand(io, name, options)));
  scoped('resume', 'end a pause; a halted target is tried again at once').action(async (name, options) =>
    setExitCode(await resumeCommandLine(io, name, options)),
  );
  command(
    'verify',
    'read held files again, compare them with their recorded hashes and record damage; changes no file by itself',
  )
    .option(
      '--repair',
      'put damaged files right from mirrors, the origin, the Internet Archive and other seeders',
    )
    .option('--wiki <name>', 'only files of this wiki, for example dewiki')
    .option('--cycle <date>', 'only files of this cycle, YYYY-MM-DD')
    .option('--json', 'print JSON, with every file')
    .action(async (options) => setExitCode(await verifyCommand(io, options)));
  command('prune', 'make room by plan when the disk is too full; never deletes a last copy')
    .option('--dry-run', 'list what would be deleted and what stays, each with its reason; changes nothing')
    .option('--history', 'list what was deleted, and why')
    .option('--wiki <name>', 'with --dry-run or --history: only of this wiki')
    .option('--summary', 'with --dry-run: what stays only counted by reason')
    .option('--all', 'with --dry-run or --history: every file by name')
    .option('--json', 'print JSON, with --dry-run every file')
    .action(async (options) => setExitCode(await pruneCommand(io, options)));
  command('bandwidth', 'how fast downloads may be, all together; kept over restarts')
    .argument('<rate>', '20MB/s, unlimited, or "default" for what the configuration says')
    .option('--per-host', 'the limit of each host by itself')
    .option('--json', 'print JSON')
    .action(async (rate, options) => setExitCode(await bandwidthCommand(io, rate, options)));
  addCatalogCommands(io, command, setExitCode);
  addTorrentCommands(io, command, setExitCode);
  addDatabaseCommands(io, command, setExitCode);
  const config = program.command('config').description('look at the configuration');
  config
    .command('check')
    .description('report every problem at once, with key and line')
    .option('-c, --config <file>', 'configuration file')
    .option('--json', 'print JSON')
    .action((options) => setExitCode(configCheck(io, options)));
  config
    .command('show')
    .description('print the effective values; secrets are masked')
    .option('-c, --config <file>', 'configuration file')
    .option('--json', 'print JSON')
    .action((options) => setExitCode(configShow(io, options)));
  return program;
}
