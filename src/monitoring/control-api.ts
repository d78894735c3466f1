import { createHash, timingSafeEqual } from 'node:crypto';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import { isDatabaseTrouble } from '../db/index.ts';
import { describeError, errorCode } from '../lib/index.ts';
import type { Log } from '../ports/index.ts';
import { LIMIT_MAX } from '../queue/index.ts';
import { DAMAGE_AT_ONCE, type OperatorActions, REASON_MAX, REPAIR_AT_ONCE } from './operator-actions.ts';
import { NAME_MAX, RefusedChange } from './scope-names.ts';

/** Who may change what. */
export interface Control {
  actions: OperatorActions;
  /** Made for this process. Tokens are never logged. */
  token: string;
  /** WIKISEED_ADMIN_TOKEN; null = not set. */
  tokenByHand: string | null;
  /** Tells commands on this machine where we listen; may throw. */
  announce(how: { url: string; token: string }): void;
}

/** A shorter one could be guessed over the network. */
const TOKEN_MIN = 16;

/** What is wrong with the token that was set by hand; null = nothing. */
export function problemOfToken(token: string | null): string | null {
  if (token === null || (token.length >= TOKEN_MIN && !/\s/.test(token))) return null;
  return `WIKISEED_ADMIN_TOKEN is not accepted: it must have at least ${TOKEN_MIN} characters and no spaces`;
}

/** No request of ours is larger. */
const BODY_MAX_BYTES = 8 * 1024;

const Name = z.string().trim().min(1).max(NAME_MAX);
const Pause = z.strictObject({
  scope: Name,
  reason: z.string().max(REASON_MAX).nullable().default(null),
});
const Resume = z.strictObject({ scope: Name });
const Limit = z.strictObject({ scope: Name, jobs: z.number().int().min(0).max(LIMIT_MAX).nullable() });
const Bandwidth = z.strictObject({ of: Name, limit: z.string().max(NAME_MAX).nullable() });
const RetryFailed = z.strictObject({
  type: Name.nullable().default(null),
  after: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
});
const Repair = z.strictObject({
  ids: z.array(z.number().int().positive().max(Number.MAX_SAFE_INTEGER)).min(1).max(REPAIR_AT_ONCE),
});
const Damage = z.strictObject({
  files: z
    .array(
      z.strictObject({
        id: z.number().int().positive().max(Number.MAX_SAFE_INTEGER),
        sha1: z.string().regex(/^[0-9a-f]{40}$/),
        verifiedAt: z.number().int().nullable(),
      }),
    )
    .min(1)
    .max(DAMAGE_AT_ONCE),
});
const Nothing = z.strictObject({});
const JobNumber = z.string().regex(/^[1-9]\d{0,14}$/);

/** Addresses of this API, whatever the method; everything else is none of its business. */
export const CONTROL_PATH =
  /^\/api\/v1\/(pause|resume|limit|bandwidth|prune|files\/(?:repair|damaged)|jobs\/retry-failed|jobs\/[^/]+\/(retry|cancel))$/;

/** A refusal in the form of every answer that is no 200. */
const refuse = (
  c: Context,
  status: 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 500 | 503,
  error: string,
  hint: string | null = null,
): Response => c.json({ error, hint }, status);

/**
 * The addresses by which an operator changes the queue, below `/api/v1`, JSON in and out: `POST /pause`, `/resume`, `/limit`, `/bandwidth`, `/prune`, `/files/repair`, `/jobs/retry-failed`,
 * `/jobs/<id>/retry`, `/jobs/<id>/cancel`. Every one needs `Authorization: Bearer <token>` and comes from no foreign page.
 * Answers 400 not understood, 401 no token, 403 foreign page, 404 no such thing, 405, 409 not now, 413, 415, 503 database in trouble.
 */
export function createControlApi(deps: {
  control: Control;
  log: Log;
  /** Something changed that open pages should show. */
  onChange: () => void;
}): Hono {
  const { actions, token, tokenByHand } = deps.control;
  const digests = [digestOf(token)];
  if (tokenByHand !== null && problemOfToken(tokenByHand) === null) digests.push(digestOf(tokenByHand));
  const api = new Hono();

  const guard: MiddlewareHandler = async (c, next) => {
    c.header('Cache-Control', 'no-store');
    if (c.req.raw.method !== 'POST') {
      c.header('Allow', 'POST');
      return refuse(c, 405, `${c.req.raw.method} is not understood here`, 'Send a POST with a JSON body.');
    }
    if (isForeign(c))
      return refuse(
        c,
        403,
        'this request comes from another site',
        'Changes are made from the command line.',
      );
    if (!isKnown(c.req.header('Authorization'), digests)) {
      c.header('WWW-Authenticate', 'Bearer realm="WikiSeed"');
      return refuse(
        c,
        401,
        'a valid token is needed',
        'Send "Authorization: Bearer <token>" with the value of WIKISEED_ADMIN_TOKEN, or use the command line on the machine of the daemon.',
      );
    }
    if (!/^application\/json\s*(;|$)/i.test(c.req.header('Content-Type') ?? ''))
      return refuse(c, 415, 'only JSON is understood', 'Send "Content-Type: application/json".');
    return next();
  };
  const limit = bodyLimit({
    maxSize: BODY_MAX_BYTES,
    onError: (c) => refuse(c, 413, `a request may have ${BODY_MAX_BYTES} bytes`),
  });

  /** Reads the body by its schema, acts, and answers with what became of it. */
  const on = <T>(path: string, schema: z.ZodType<T>, act: (body: T, c: Context) => object): void =>
    void api.all(path, guard, limit, async (c) => {
      const text = (await c.req.text()).trim();
      const body = schema.safeParse(text === '' ? {} : parse(text));
      if (!body.success) return refuse(c, 400, problemOf(body.error), exampleOf(schema));
      const done = act(body.data, c);
      deps.onChange();
      return c.json(done);
    });

  on('/pause', Pause, ({ scope, reason }) => actions.pause(scope, reason));
  on('/resume', Resume, ({ scope }) => actions.resume(scope));
  on('/limit', Limit, ({ scope, jobs }) => actions.setLimit(scope, jobs));
  on('/bandwidth', Bandwidth, ({ of, limit }) => actions.setBandwidth(of, limit));
  on('/prune', Nothing, () => actions.prune());
  on('/files/repair', Repair, ({ ids }) => actions.repairFiles(ids));
  on('/files/damaged', Damage, ({ files }) => actions.recordDamage(files));
  on('/jobs/retry-failed', RetryFailed, (filter) => actions.retryFailed(filter));
  on('/jobs/:id/retry', Nothing, (_, c) => actions.retryJob(jobIdOf(c)));
  on('/jobs/:id/cancel', Nothing, (_, c) => actions.cancelJob(jobIdOf(c)));

  api.onError((error, c) => {
    if (error instanceof RefusedChange) return refuse(c, error.status, error.message, error.hint ?? null);
    if (isDatabaseTrouble(error))
      return refuse(c, 503, `the database refused: ${describeError(error)}`, 'Look at "wikiseed status".');
    deps.log.error(
      { path: c.req.path.slice(0, 200), err: { code: errorCode(error), message: describeError(error) } },
      'a change by an operator failed',
    );
    return refuse(c, 500, 'the change failed', 'The log says more.');
  });
  return api;
}

function jobIdOf(c: Context): number {
  const id = JobNumber.safeParse(c.req.param('id'));
  if (!id.success) throw new RefusedChange(400, 'a job id is a whole number', '"wikiseed jobs" lists them.');
  return Number(id.data);
}

/** A page of another site that a browser sends here, even with a token it got hold of. Programs send neither header. */
function isForeign(c: Context): boolean {
  const site = c.req.header('Sec-Fetch-Site');
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const origin = c.req.header('Origin');
  if (origin === undefined) return false;
  // Behind a proxy we do not see whether it was https; the host decides.
  return !URL.canParse(origin) || new URL(origin).host !== c.req.header('Host');
}

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compares digests, which have one length, and all of them, so that the time tells nothing. */
function isKnown(header: string | undefined, digests: readonly Buffer[]): boolean {
  const given = digestOf(/^Bearer +(\S+)$/i.exec(header ?? '')?.[1] ?? '');
  let isEqual = false;
  for (const digest of digests) isEqual = timingSafeEqual(given, digest) || isEqual;
  return isEqual;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RefusedChange(400, 'the body is not JSON');
  }
}

/** `jobs: Too big: expected number to be <=1000`, for every problem. */
function problemOf(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
    .join('; ')
    .slice(0, 500);
}

function exampleOf(schema: unknown): string {
  if (schema === Pause) return 'For example {"scope": "download_dump", "reason": "moving the disk"}';
  if (schema === Resume) return 'For example {"scope": "all"}';
  if (schema === Limit) return 'For example {"scope": "dumps", "jobs": 1}; null = as configured';
  if (schema === Bandwidth)
    return 'For example {"of": "download", "limit": "20MB/s"}; "unlimited"; null = as configured';
  if (schema === RetryFailed) return 'For example {"type": "upload_ia"}; {} = all types';
  if (schema === Repair) return `For example {"ids": [12, 13]}; at most ${REPAIR_AT_ONCE} at once`;
  if (schema === Damage)
    return `For example {"files": [{"id": 12, "sha1": "<40 hex digits>", "verifiedAt": null}]}; at most ${DAMAGE_AT_ONCE} at once`;
  return 'Send {}';
}
