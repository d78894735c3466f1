import { z } from 'zod';
import { type App, createApp } from '../app.ts';
import { isDataDirectoryInUse, type LockHolder, readLockHolder } from '../db/index.ts';
import { AlreadyRunningError, describeError, errorCode, UsageError, WikiSeedError } from '../lib/index.ts';
import type { OperatorActions } from '../monitoring/index.ts';
import { silentLog } from '../ports/index.ts';
import type { CliIo } from './io.ts';
import { type LoadedConfig, openForReading } from './load.ts';

/** The same actions, wherever they are done. */
export type RemoteActions = {
  [Name in keyof OperatorActions]: (
    ...given: Parameters<OperatorActions[Name]>
  ) => Promise<ReturnType<OperatorActions[Name]>>;
};

/** Where the change is made. */
export interface Operated {
  actions: RemoteActions;
  /** False when no daemon runs: the change waits in the database for the next start. */
  isDaemon: boolean;
}

/** The daemon answers from memory and one transaction. */
const ANSWER_WITHIN_MS = 15_000;

/**
 * Lets `work` change the queue: through the running daemon, else directly in the database, which is locked meanwhile.
 * @throws UsageError what the daemon or the queue refused, or there is no database yet
 * @throws AlreadyRunningError something else than a daemon holds the data directory
 */
export async function operate<T>(
  io: CliIo,
  loaded: LoadedConfig,
  work: (operated: Operated) => Promise<T>,
): Promise<T> {
  const { config, secrets } = loaded;
  const { dataDir } = config.wikiseed;
  // A folder that was named by mistake must not become a new installation.
  openForReading(dataDir).close();
  if (isDataDirectoryInUse(dataDir))
    return work({ actions: remoteActions(reach(loaded), io.signal), isDaemon: true });
  const app = await createApp({ config, secrets, log: silentLog, configPath: loaded.sourcePath });
  try {
    return await work({ actions: localActions(app), isDaemon: false });
  } finally {
    await app.stop();
  }
}

function localActions({ operator, queue }: App): RemoteActions {
  return {
    pause: async (...given) => operator.pause(...given),
    resume: async (...given) => operator.resume(...given),
    setLimit: async (...given) => operator.setLimit(...given),
    setBandwidth: async (...given) => operator.setBandwidth(...given),
    // What the last process was at when it ended waits again, as after a start, so that it can be changed, too.
    async retryJob(...given) {
      queue.rescue();
      return operator.retryJob(...given);
    },
    async cancelJob(...given) {
      queue.rescue();
      return operator.cancelJob(...given);
    },
    retryFailed: async (...given) => operator.retryFailed(...given),
    prune: async () => operator.prune(),
    repairFiles: async (...given) => operator.repairFiles(...given),
    recordDamage: async (...given) => operator.recordDamage(...given),
  };
}

/** Address and token of a daemon. */
interface Reach {
  url: string;
  token: string;
}

/** From the file that the daemon wrote for its own user, else from the configuration and WIKISEED_ADMIN_TOKEN. */
function reach({ config, secrets }: LoadedConfig): Reach {
  const { dataDir } = config.wikiseed;
  const byHand = secrets.wikiseedAdminToken;
  let holder: LockHolder | null = null;
  try {
    holder = readLockHolder(dataDir);
  } catch (error) {
    const { host, port } = config.monitoring;
    if (byHand !== null && port !== 0)
      return { url: `http://${host.includes(':') ? `[${host}]` : host}:${port}/`, token: byHand };
    throw new WikiSeedError(
      'daemon_not_ours',
      `the running WikiSeed belongs to another user (${errorCode(error)})`,
      {
        hint: 'Run this command as the user of the daemon, for example with sudo -u wikiseed, or set WIKISEED_ADMIN_TOKEN for both.',
        cause: error,
      },
    );
  }
  if (holder?.url && holder.token) return { url: holder.url, token: holder.token };
  const who = holder === null ? 'a process' : `process ${holder.pid}, started ${holder.startedAt},`;
  throw new AlreadyRunningError('already_running', `${who} uses ${dataDir} but takes no commands`, {
    hint: 'It is just starting, or it is a restore, rebuild or maintenance: try again when it is done.',
  });
}

/** Every answer that is no success. */
const Refusal = z.object({ error: z.string(), hint: z.string().nullable().optional() });

function remoteActions({ url, token }: Reach, signal: AbortSignal): RemoteActions {
  const base = new URL('api/v1/', url);
  // An address that means "all of this machine" is none to talk to.
  if (base.hostname === '0.0.0.0') base.hostname = '127.0.0.1';
  if (base.hostname === '[::]') base.hostname = '[::1]';

  async function post<T>(path: string, body: object): Promise<T> {
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(new URL(path, base), {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
      });
      text = await answer.text();
    } catch (error) {
      if (signal.aborted) throw error;
      throw new WikiSeedError(
        'daemon_unreachable',
        `the running WikiSeed does not answer at ${base.origin}: ${describeError(error)}`,
        {
          hint: 'It may be stopping; try again in a moment. "wikiseed status" works without it.',
          cause: error,
        },
      );
    }
    if (answer.ok) return JSON.parse(text) as T;
    const refusal = Refusal.safeParse(parse(text));
    if (!refusal.success)
      throw new WikiSeedError('daemon_strange', `${base.origin} answered ${answer.status} without a reason`, {
        hint: 'Is it a WikiSeed of this version? Restart it after an update.',
      });
    const { error, hint } = refusal.data;
    if (answer.status === 400 || answer.status === 404 || answer.status === 409)
      throw new UsageError(error, hint ?? undefined);
    throw new WikiSeedError('daemon_refused', error, { ...(hint ? { hint } : {}) });
  }

  return {
    pause: (scope, reason) => post('pause', { scope, reason }),
    resume: (scope) => post('resume', { scope }),
    setLimit: (scope, jobs) => post('limit', { scope, jobs }),
    setBandwidth: (of, limit) => post('bandwidth', { of, limit }),
    retryJob: (jobId) => post(`jobs/${jobId}/retry`, {}),
    cancelJob: (jobId) => post(`jobs/${jobId}/cancel`, {}),
    retryFailed: (filter) => post('jobs/retry-failed', filter),
    prune: () => post('prune', {}),
    repairFiles: (ids) => post('files/repair', { ids }),
    recordDamage: (files) => post('files/damaged', { files }),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
