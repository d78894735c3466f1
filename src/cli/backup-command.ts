import cliProgress from 'cli-progress';
import { formatBytes, formatDuration } from '../lib/index.ts';
import { type BackupProgress, createBackup } from '../maintenance/index.ts';
import { createNodeDisk, createSystemClock } from '../ports/index.ts';
import { VERSION } from '../version.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';

/** `backup`: one now, beside a running daemon or without one. */
export async function backupCommand(
  io: CliIo,
  options: { config?: string; json?: boolean },
): Promise<number> {
  const { config, sourcePath } = loadForCommand(io, options.config);
  // Says of a database that is gone, empty or of another version what every command says.
  openForReading(config.wikiseed.dataDir).close();
  const bar = showByteBar(io);
  const created = await createBackup(
    {
      disk: createNodeDisk(),
      clock: createSystemClock(),
      dataDir: config.wikiseed.dataDir,
      version: VERSION,
      configPath: sourcePath,
    },
    { reason: 'manual', signal: io.signal, onProgress: bar.show },
  ).finally(bar.stop);
  const { backup, sha256, schema, databaseBytes, tookMs } = created;
  if (options.json === true)
    printJson(io, {
      name: backup.name,
      path: backup.path,
      sizeBytes: backup.sizeBytes,
      databaseBytes,
      sha256,
      schema,
      tookMs,
    });
  else
    io.out.write(
      `${backup.path}\n${formatBytes(databaseBytes)} of database in ${formatBytes(backup.sizeBytes)}, ` +
        `verified, in ${formatDuration(tookMs.all)}.\n`,
    );
  return EXIT.ok;
}

const WORDS: Readonly<Record<BackupProgress['phase'], string>> = {
  copy: 'copying',
  pack: 'packing and verifying',
  unpack: 'unpacking',
};

/** A bar on standard error, of what is being done now; nothing when it is no terminal. */
export function showByteBar(io: CliIo): { show: (progress: BackupProgress) => void; stop: () => void } {
  const { err } = io;
  if (err.isTTY !== true || !('cursorTo' in err)) return { show: () => {}, stop: () => {} };
  const bar = new cliProgress.SingleBar(
    {
      stream: err,
      format: '{what} {bar} {percentage} %  {done} of {all}',
      barsize: 20,
      clearOnComplete: true,
      hideCursor: true,
      gracefulExit: false,
    },
    cliProgress.Presets.shades_classic,
  );
  let isShown = false;
  return {
    show({ phase, doneBytes, totalBytes }) {
      const payload = { what: WORDS[phase], done: formatBytes(doneBytes), all: formatBytes(totalBytes) };
      if (!isShown) bar.start(totalBytes, doneBytes, payload);
      isShown = true;
      bar.setTotal(totalBytes);
      bar.update(doneBytes, payload);
    },
    stop() {
      if (isShown) bar.stop();
    },
  };
}
