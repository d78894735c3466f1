import { createApp } from '../app.ts';
import { describeConfig } from '../config/index.ts';
import { formatDuration } from '../lib/index.ts';
import { createSystemClock } from '../ports/index.ts';
import { VERSION } from '../version.ts';
import { EXIT } from './exit-codes.ts';
import { outcomeOf } from './idle-outcome.ts';
import type { CliIo } from './io.ts';
import { loadForCommand } from './load.ts';
import { createLogger } from './logger.ts';
import { planCommand } from './plan-command.ts';
import { showProgressBars } from './progress-bars.ts';

/** `run`: the daemon. Resolves when it stopped. */
export async function runCommand(
  io: CliIo,
  options: { config?: string; untilIdle?: boolean; dryRun?: boolean; pretty?: boolean; json?: boolean },
): Promise<number> {
  if (options.dryRun === true) return planCommand(io, options);
  const loaded = loadForCommand(io, options.config);
  const { config, secrets } = loaded;
  const log = createLogger({ level: config.logging.level, pretty: options.pretty === true });
  log.info(describeConfig(config, loaded.secretOrigins), 'effective configuration');
  const clock = createSystemClock();
  const startedMs = clock.monotonicMs();
  const app = await createApp({ config, secrets, log, clock, configPath: loaded.sourcePath });
  const bars = showProgressBars({ bus: app.bus, queries: app.queries, stream: io.err });
  // Timers of the house never hold the process; this one does, until stop.
  const keepAlive = setInterval(() => {}, 2 ** 30);
  const sinceStart = (): number => Math.round(clock.monotonicMs() - startedMs);
  let exitCode: number = EXIT.interrupted;
  try {
    const { url } = await app.start();
    log.info(
      { version: VERSION, dataDir: config.wikiseed.dataDir, page: url, config: loaded.sourcePath },
      'WikiSeed is up',
    );
    const stopped = new Promise<'signal'>((resolve) => {
      if (io.signal.aborted) resolve('signal');
      io.signal.addEventListener('abort', () => resolve('signal'), { once: true });
    });
    const ended = await Promise.race(options.untilIdle === true ? [stopped, app.whenIdle()] : [stopped]);
    if (ended === 'signal') {
      log.info({}, 'stopping');
    } else {
      const outcome = await outcomeOf(app, ended);
      const durationMs = sinceStart();
      log.info({ ...outcome, durationMs }, 'nothing left to do');
      io.err.write(`${outcome.sentence} (${formatDuration(durationMs)})\n`);
      exitCode = outcome.exitCode;
    }
  } finally {
    bars.stop();
    await app.stop();
    clearInterval(keepAlive);
  }
  log.info({ durationMs: sinceStart() }, 'stopped');
  return exitCode;
}
