import type { IncomingHttpHeaders } from 'node:http';
import { minutes, parseRetryAfter, RETRY_AFTER_CAP_MS, seconds } from '../lib/index.ts';

/** An answer of the archive's S3-like interface, or of its metadata service. */
export interface ArchiveAnswer {
  status: number;
  bodyText: string;
  headers: IncomingHttpHeaders;
  /** For `Retry-After` dates; default 0 reads only numbers of seconds rightly. */
  nowMs?: number;
}

/** The five reactions. `reason` is one line for people, without secrets. */
export type ArchiveVerdict =
  | { kind: 'ok' }
  /** May heal; counts as an attempt. */
  | { kind: 'retry'; code: string; reason: string; retryAfterMs?: number }
  /** The archive is busy; nobody's fault. */
  | { kind: 'wait'; code: string; reason: string; delayMs: number }
  /** This file or item can never be uploaded like this. */
  | { kind: 'skip'; code: string; reason: string }
  /** No upload can succeed until somebody acts. */
  | { kind: 'halt'; code: string; reason: string; hint: string };

const BAD_NAMES = [
  'InvalidDigest',
  'InvalidArgument',
  'InvalidURI',
  'InvalidBucketName',
  'KeyTooLong',
  'MetadataTooLarge',
  'EntityTooLarge',
];
const BAD_KEYS = [
  'InvalidAccessKeyId',
  'InvalidSecurity',
  'SignatureDoesNotMatch',
  'AccountProblem',
  'NotSignedUp',
];
const KEYS_HINT =
  'Check IA_ACCESS_KEY and IA_SECRET_KEY (https://archive.org/account/s3.php) and whether the account is locked; then restart.';
const COLLECTION_HINT =
  'Check ia.collection: collections are made and opened to accounts by the archive only (info@archive.org).';
const QUOTA_HINT = 'The account has reached a limit; write to info@archive.org.';

/** Shortest waiting time when the archive is overloaded; the room doubles it up to 10 min. */
export const OVERLOAD_WAIT_MS = seconds(30);

/** Reads an answer by status and body: the archive puts the truth in the body. Pure. */
export function classifyArchiveAnswer(answer: ArchiveAnswer): ArchiveVerdict {
  const { status, headers } = answer;
  if (status >= 200 && status < 300) return { kind: 'ok' };
  const { code, text } = readErrorBody(answer.bodyText);
  const reason = `the Internet Archive answered ${status}${code === '' ? '' : ` ${code}`}${text === '' ? '' : `: ${text}`}`;
  const told = parseRetryAfter(headers['retry-after'], answer.nowMs ?? 0);
  const retryAfter = told === undefined ? {} : { retryAfterMs: Math.min(told, RETRY_AFTER_CAP_MS) };
  const retry = (name: string): ArchiveVerdict => ({ kind: 'retry', code: name, reason, ...retryAfter });
  const wait = (name: string, atLeastMs: number): ArchiveVerdict => {
    return { kind: 'wait', code: name, reason, delayMs: Math.max(atLeastMs, retryAfter.retryAfterMs ?? 0) };
  };
  const halt = (name: string, hint: string): ArchiveVerdict => ({ kind: 'halt', code: name, reason, hint });

  // Spam refusals come as 503 SlowDown, but waiting never helps: looked at before anything else.
  if (/appears to be spam/i.test(text)) return { kind: 'skip', code: 'refused_as_spam', reason };
  if (status === 503) return wait('overloaded', OVERLOAD_WAIT_MS);
  if (status === 429) return wait('rate_limited', OVERLOAD_WAIT_MS);
  if (status === 409) return wait('create_race', OVERLOAD_WAIT_MS);
  if (
    (status === 403 || status === 507) &&
    /quota|account limit|limit (for|of) (the|your|this) account/i.test(text)
  )
    return halt('account_limit', QUOTA_HINT);
  if (BAD_KEYS.includes(code) || status === 401) return halt('bad_credentials', KEYS_HINT);
  // A page for people instead of an XML error comes from something in front of the service that is in trouble.
  if (status !== 403 && /<html|<!doctype html/i.test(answer.bodyText)) return retry('http_status');
  if (status === 400 || status === 403) {
    if (code === 'BadDigest') return retry('bad_digest');
    if (code === 'IncompleteBody' || code === 'RequestTimeout') return retry('connection_broke');
    if (BAD_NAMES.includes(code)) return { kind: 'skip', code: 'refused', reason };
    if (code === 'AccessDenied') return halt('access_denied', COLLECTION_HINT);
    if (/collection|privileges|\bitem\b/i.test(text)) return halt('no_right', COLLECTION_HINT);
    if (status === 403) return halt('forbidden', KEYS_HINT);
    return { kind: 'skip', code: 'refused', reason };
  }
  if (status === 404) return retry('no_such_item');
  if ([405, 411, 412, 413, 414, 415, 501].includes(status)) return { kind: 'skip', code: 'refused', reason };
  if ([423, 424, 507].includes(status))
    return {
      kind: 'retry',
      code: 'locked',
      reason,
      retryAfterMs: Math.max(minutes(10), retryAfter.retryAfterMs ?? 0),
    };
  return retry('http_status');
}

/** Code and texts of the XML error; for HTML the visible words. At most 300 characters, never more than one line. */
function readErrorBody(bodyText: string): { code: string; text: string } {
  const tag = (name: string): string =>
    new RegExp(`<${name}>([^<]*)</${name}>`, 'i').exec(bodyText)?.[1]?.trim() ?? '';
  const code = tag('Code');
  // Resource holds the real reason; Message is the generic text of the code.
  const text =
    code === ''
      ? bodyText.replaceAll(/<(script|style)[\s\S]*?<\/\1>|<[^>]*>/gi, ' ')
      : `${tag('Message')} ${tag('Resource')}`;
  return { code, text: text.replaceAll(/\s+/g, ' ').trim().slice(0, 300) };
}
