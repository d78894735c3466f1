import { createCatalog } from '../catalog/index.ts';
import { createSystemState, isDataDirectoryInUse, STATE_KEYS } from '../db/index.ts';
import { createStatusQueries, readStatus } from '../monitoring/index.ts';
import { createNodeDisk, createSystemClock } from '../ports/index.ts';
import { lookAtDisk, parseSavedStorage } from '../storage/index.ts';
import { VERSION } from '../version.ts';
import { EXIT } from './exit-codes.ts';
import { formatStatus, wantsColor } from './format-status.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';

/** `status`: one screen, from the database; works beside a running daemon and without one. */
export async function statusCommand(
  io: CliIo,
  options: { config?: string; json?: boolean },
): Promise<number> {
  const { config } = loadForCommand(io, options.config);
  const db = openForReading(config.wikiseed.dataDir);
  try {
    const clock = createSystemClock();
    const daemonRunning = isDataDirectoryInUse(config.wikiseed.dataDir);
    const report = await readStatus({
      queries: createStatusQueries({ db, clock }),
      clock,
      version: VERSION,
      storage: () =>
        lookAtDisk({ disk: createNodeDisk(), dataDir: config.wikiseed.dataDir }, config.storage, {
          saved: parseSavedStorage(createSystemState(db).get(STATE_KEYS.storage)),
          isDaemonRunning: daemonRunning,
          heldBytes: createCatalog({ db, clock }).heldBytes(),
        }),
      startedAt: null,
    });
    // `running` in the report is the list of running jobs.
    if (options.json === true) printJson(io, { daemonRunning, ...report });
    else {
      if (!daemonRunning) io.out.write('WikiSeed is not running; this is what the database says.\n\n');
      io.out.write(
        formatStatus(report, {
          color: wantsColor(io.out, io.env),
          width: io.out.columns,
          isAtWork: daemonRunning,
        }),
      );
    }
    return EXIT.ok;
  } finally {
    db.close();
  }
}
