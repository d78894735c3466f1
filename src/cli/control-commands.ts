import { UsageError } from '../lib/index.ts';
import {
  rateName,
  rateWords,
  readRate,
  resumeCommand,
  scopeWords,
  sentenceCase,
} from '../monitoring/index.ts';
import { LIMIT_MAX, parseScope } from '../queue/index.ts';
import { operate } from './daemon.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand } from './load.ts';
import { plainText } from './table.ts';

/** Said after every change while no daemon runs. */
export const AT_NEXT_START = 'WikiSeed is not running: this takes effect at the next start.';

interface ScopeOptions {
  config?: string;
  type?: string;
  target?: string;
  json?: boolean;
}

/** `pause`: nothing new of it begins; what runs goes on. */
export async function pauseCommand(
  io: CliIo,
  name: string | undefined,
  options: ScopeOptions & { reason?: string },
): Promise<number> {
  const scope = scopeOf('pause', name, options);
  const loaded = loadForCommand(io, options.config);
  return operate(io, loaded, async ({ actions, isDaemon }) => {
    const done = await actions.pause(scope, options.reason ?? null);
    if (options.json === true) printJson(io, { ...done, isDaemonRunning: isDaemon });
    else {
      const { scope: held } = done.paused;
      const rest = isDaemon ? ' What runs goes on, nothing new begins.' : '';
      say(io, `${sentenceCase(scopeWords(held))} is paused.${rest}`, isDaemon);
      io.out.write(`Resume with: ${plainText(resumeCommand(held))}\n`);
    }
    return EXIT.ok;
  });
}

/** `resume`: ends a pause, and tries a halted target again at once. */
export async function resumeCommandLine(
  io: CliIo,
  name: string | undefined,
  options: ScopeOptions,
): Promise<number> {
  const scope = scopeOf('resume', name, options);
  const loaded = loadForCommand(io, options.config);
  return operate(io, loaded, async ({ actions, isDaemon }) => {
    const done = await actions.resume(scope);
    if (options.json === true) printJson(io, { ...done, isDaemonRunning: isDaemon });
    else {
      const words = done.resumed.map((text) => scopeWords(parseScope(text))).join(', ');
      say(io, words === '' ? 'Nothing of that was paused or halted.' : `Resumed: ${words}.`, isDaemon);
      for (const pause of done.pauses)
        io.out.write(
          plainText(`Still paused: ${scopeWords(pause.scope)}; ${resumeCommand(pause.scope)}`).concat('\n'),
        );
    }
    return EXIT.ok;
  });
}

/** `jobs limit`: how many at once, of a job type or of all that use a target. */
export async function limitCommand(
  io: CliIo,
  name: string,
  count: string,
  options: ScopeOptions,
): Promise<number> {
  const jobs = parseCount(count);
  const loaded = loadForCommand(io, options.config);
  return operate(io, loaded, async ({ actions, isDaemon }) => {
    const done = await actions.setLimit(name, jobs);
    if (options.json === true) printJson(io, { ...done, isDaemonRunning: isDaemon });
    else {
      const words = sentenceCase(scopeWords(done.scope));
      const now = done.jobs === null ? 'as configured' : `at most ${done.jobs} at once`;
      say(io, `${words}: ${now}.`, isDaemon);
    }
    return EXIT.ok;
  });
}

/** `bandwidth`: how fast downloads may be, all together or from each host. */
export async function bandwidthCommand(
  io: CliIo,
  limit: string,
  options: { config?: string; json?: boolean; perHost?: boolean },
): Promise<number> {
  // Before anything is opened: a typing error needs no configuration.
  if (limit !== 'default') readRate(limit);
  const loaded = loadForCommand(io, options.config);
  const name = options.perHost === true ? 'download_per_host' : 'download';
  return operate(io, loaded, async ({ actions, isDaemon }) => {
    const done = await actions.setBandwidth(name, limit === 'default' ? null : limit);
    if (options.json === true) printJson(io, { ...done, isDaemonRunning: isDaemon });
    else say(io, `${sentenceCase(rateName(done.name))}: ${rateWords(done.rate)}.`, isDaemon);
    return EXIT.ok;
  });
}

function say(io: CliIo, sentence: string, isDaemon: boolean): void {
  io.out.write(`${plainText(sentence)}\n`);
  if (!isDaemon) io.out.write(`${AT_NEXT_START}\n`);
}

function parseCount(text: string): number | null {
  if (text === 'default') return null;
  if (!/^\d{1,9}$/.test(text) || Number(text) > LIMIT_MAX)
    throw new UsageError(
      `${text} is no limit`,
      `Use a whole number from 1 to ${LIMIT_MAX}, or "default" for what the configuration says.`,
    );
  return Number(text);
}

/** One of: a name, `--type`, `--target`; all only when it is written. */
function scopeOf(verb: string, name: string | undefined, options: ScopeOptions): string {
  const given = [
    ...(name === undefined ? [] : [name]),
    ...(options.type === undefined ? [] : [`type:${options.type}`]),
    ...(options.target === undefined ? [] : [`target:${options.target}`]),
  ];
  const [scope] = given;
  if (given.length === 1 && scope !== undefined) return scope;
  throw new UsageError(
    given.length === 0 ? `${verb} what?` : `${verb} takes one name at a time`,
    `Write "wikiseed ${verb} all", or name a job type or a target, for example "wikiseed ${verb} download_dump".`,
  );
}
