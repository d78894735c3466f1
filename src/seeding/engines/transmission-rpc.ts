import type { Http } from '../../ports/index.ts';
import { callEngine, parseAnswer } from './calls.ts';
import { EngineDown, EngineRefusal } from './driver.ts';
import type { EngineAccess } from './qbittorrent.ts';

/** As programs and their users call it. */
export const TITLE = 'Transmission';

/** A session may end at any time; more often in one call means that something between us takes it away. */
const SESSIONS_MAX = 4;
/** From this version on it speaks JSON-RPC 2.0 (Transmission 4.1). */
const JSON_RPC_SINCE = 6;
const UNKNOWN_METHOD = /method name not recognized|method not found/i;

/** Names of the old dialect that are not made from the new ones by dashes. */
const OLD_NAMES: Readonly<Record<string, string>> = {
  upload_limit: 'uploadLimit',
  upload_limited: 'uploadLimited',
  seed_ratio_mode: 'seedRatioMode',
  seed_idle_mode: 'seedIdleMode',
};
const dashed = (name: string): string => name.replaceAll('_', '-');
/** Fields of torrents are in camel case there. */
const oldField = (name: string): string =>
  name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const newName = (name: string): string =>
  name.replaceAll('-', '_').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Answer of one method: `result` in the names of the new dialect, or what went wrong in the program's words. */
export type RpcAnswer = { result: unknown } | { refusal: string };

/** One call in the names of 4.1, whatever the program speaks. */
export type TransmissionRpc = (
  method: string,
  params: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
) => Promise<RpcAnswer>;

/** Speaks both dialects of Transmission's RPC. @throws EngineDown, EngineRefusal; Interrupted */
export function createTransmissionRpc({
  http,
  access,
}: {
  http: Http;
  access: EngineAccess;
}): TransmissionRpc {
  const base = access.url.replace(/\/+$/, '');
  const url = base.endsWith('/rpc')
    ? base
    : `${base.replace(/\/transmission(\/web)?$/, '')}/transmission/rpc`;
  const { host, hostname } = new URL(url);
  let session = '';
  /** null = not asked yet. */
  let isNew: boolean | null = null;

  async function send(body: object, signal: AbortSignal): Promise<unknown> {
    for (let left = SESSIONS_MAX; ; left -= 1) {
      const answer = await callEngine(http, TITLE, {
        url,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(session === '' ? {} : { 'x-transmission-session-id': session }),
          ...(access.username === null && access.password === null
            ? {}
            : {
                authorization: `Basic ${Buffer.from(`${access.username ?? ''}:${access.password ?? ''}`).toString('base64')}`,
              }),
        },
        body: JSON.stringify(body),
        signal,
      });
      const given = answer.headers['x-transmission-session-id'];
      if (answer.status === 409 && typeof given === 'string' && left > 1) {
        session = given;
        continue;
      }
      if (answer.status === 401)
        throw new EngineRefusal(
          `${TITLE} at ${host} refuses this user or password`,
          'Set TRANSMISSION_USERNAME and TRANSMISSION_PASSWORD to what its settings say (rpc-username, rpc-password).',
        );
      if (answer.status === 403)
        throw new EngineRefusal(
          `${TITLE} at ${host} does not let this address in`,
          'Add it to rpc-whitelist in the settings of Transmission, or wait: after many wrong passwords it lets nobody in until it is started anew.',
        );
      if (answer.status === 421)
        throw new EngineRefusal(
          `${TITLE} does not go by the name ${hostname}`,
          'Use its IP address in seeding.url, or add the name to rpc-host-whitelist in the settings of Transmission.',
        );
      if (answer.status !== 200) throw new EngineDown(TITLE, host, `status ${answer.status}`);
      return parseAnswer(TITLE, url, answer);
    }
  }

  async function inOld(
    method: string,
    params: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<RpcAnswer> {
    const names = Object.entries(params).map(([name, value]) => [
      OLD_NAMES[name] ?? (name === 'fields' || name === 'ids' ? name : dashed(name)),
      name === 'fields' ? (value as string[]).map(oldField) : value,
    ]);
    const reply = await send({ method: dashed(method), arguments: Object.fromEntries(names) }, signal);
    const { result, arguments: args } = reply as { result?: unknown; arguments?: unknown };
    if (result === 'success') return { result: inNewNames(args ?? {}) };
    // A program that knows the old dialect no more answers in the new one.
    return typeof result === 'string' ? { refusal: result } : readNew(reply);
  }

  async function inNew(
    method: string,
    params: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<RpcAnswer> {
    return readNew(await send({ jsonrpc: '2.0', id: 1, method, params }, signal));
  }

  async function isNewDialect(signal: AbortSignal): Promise<boolean> {
    const old = await inOld('session_get', {}, signal);
    if ('refusal' in old) return UNKNOWN_METHOD.test(old.refusal);
    const { rpc_version_semver: version } = old.result as { rpc_version_semver?: unknown };
    return typeof version === 'string' && Number.parseInt(version, 10) >= JSON_RPC_SINCE;
  }

  return async (method, params, signal) => {
    isNew ??= await isNewDialect(signal);
    const answer = await (isNew ? inNew : inOld)(method, params, signal);
    // It may have been replaced by another version since.
    if ('refusal' in answer && UNKNOWN_METHOD.test(answer.refusal)) isNew = null;
    return answer;
  };
}

function readNew(reply: unknown): RpcAnswer {
  const { result, error } = reply as { result?: unknown; error?: { message?: unknown; data?: unknown } };
  if (error === undefined || error === null) return { result: inNewNames(result ?? {}) };
  const detail = (error.data as { error_string?: unknown } | undefined)?.error_string;
  return { refusal: [error.message, detail].filter((part) => typeof part === 'string').join(': ') };
}

/** Every key of objects in the form of 4.1; the same for what is in it already. */
function inNewNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inNewNames);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [newName(name), inNewNames(inner)]));
}
