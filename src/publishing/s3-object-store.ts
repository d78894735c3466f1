import type { S3Client } from '@aws-sdk/client-s3';
import {
  HaltPipelineError,
  Interrupted,
  minutes,
  PermanentError,
  parseRetryAfter,
  RetryableError,
  seconds,
  UnavailableError,
} from '../lib/index.ts';
import type { Clock, ObjectStore } from '../ports/index.ts';
import { bodyOf } from './object-body.ts';

/** Where the bucket is and who we are there. */
export interface S3ObjectStoreConfig {
  /** `https://<account>.r2.cloudflarestorage.com` or any S3 server. */
  endpoint: string;
  bucket: string;
  /** R2 wants `auto`. */
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  clock: Clock;
  /** How long a connection may take, and how long it may say nothing. Default 30 s and 60 s; tests make it small. */
  timeouts?: { connectMs: number; inactivityMs: number };
}

const TIMEOUTS = { connectMs: seconds(30), inactivityMs: seconds(60) };

const nothing = (): void => {};
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** R2 takes one write a second for each key. */
const WRITE_INTERVAL_MS = 1_100;

/** A bucket on Cloudflare R2 or any S3 server. Opens no connection before the first call. */
export function createS3ObjectStore(config: S3ObjectStoreConfig): ObjectStore {
  const { bucket: Bucket, clock, timeouts = TIMEOUTS } = config;
  const lastWriteMs = new Map<string, number>();
  let loading: Promise<{ client: S3Client; sdk: typeof import('@aws-sdk/client-s3') }> | null = null;
  /** The SDK takes 100 ms to load, which a host without a bucket need not pay. */
  const load = () => {
    loading ??= import('@aws-sdk/client-s3').then((sdk) => ({
      sdk,
      client: new sdk.S3Client({
        region: config.region,
        endpoint: config.endpoint,
        forcePathStyle: true,
        credentials: { accessKeyId: config.accessKeyId, secretAccessKey: config.secretAccessKey },
        // Since 3.729.0 the SDK adds CRC32 checksums, which R2 refused with 501 (cloudflare-docs 19236); Content-MD5 does it.
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
        // The queue retries; the SDK only bridges one lost packet.
        maxAttempts: 2,
        // Without one it writes to the console when a stream could not be sent; what happened is thrown besides.
        logger: SILENT,
        // Without these the SDK waits for ever for a server that took the connection and says nothing.
        requestHandler: { connectionTimeout: timeouts.connectMs, socketTimeout: timeouts.inactivityMs },
      }),
    }));
    return loading;
  };
  const failure = (error: unknown, key: string, signal: AbortSignal | undefined): Error =>
    signal?.aborted ? new Interrupted() : classifyS3Error(error, key, clock.now());
  const optionsOf = (signal: AbortSignal | undefined) =>
    signal === undefined ? {} : { abortSignal: signal };
  return {
    async head(key, signal) {
      const { client, sdk } = await load();
      try {
        const answer = await client.send(new sdk.HeadObjectCommand({ Bucket, Key: key }), optionsOf(signal));
        return { sizeBytes: answer.ContentLength ?? 0, sha256: answer.Metadata?.sha256 ?? null };
      } catch (error) {
        if (statusOf(error) === 404) return null;
        throw failure(error, key, signal);
      }
    },
    async put(key, content, facts, signal) {
      const { client, sdk } = await load();
      const waitMs =
        (lastWriteMs.get(key) ?? Number.NEGATIVE_INFINITY) + WRITE_INTERVAL_MS - clock.monotonicMs();
      if (waitMs > 0) await clock.sleep(waitMs, signal);
      lastWriteMs.set(key, clock.monotonicMs());
      const stop = new AbortController();
      const sending = bodyOf(content, () => stop.abort());
      try {
        await client.send(
          new sdk.PutObjectCommand({
            Bucket,
            Key: key,
            Body: sending.body,
            ContentLength: sending.sizeBytes,
            ContentMD5: sending.md5,
            ContentType: facts.contentType,
            CacheControl: facts.cacheControl,
            Metadata: { sha256: facts.sha256 },
          }),
          { abortSignal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]) },
        );
      } catch (error) {
        throw sending.failure()?.error ?? failure(error, key, signal);
      } finally {
        sending.end();
      }
    },
    async get(key, signal) {
      const { client, sdk } = await load();
      try {
        const answer = await client.send(new sdk.GetObjectCommand({ Bucket, Key: key }), optionsOf(signal));
        return (await answer.Body?.transformToByteArray()) ?? new Uint8Array();
      } catch (error) {
        if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return null;
        throw failure(error, key, signal);
      }
    },
  };
}

const BAD_KEYS = ['Unauthorized', 'AccessDenied', 'InvalidAccessKeyId', 'SignatureDoesNotMatch'];
const CLOCK = ['RequestTimeTooSkewed', 'ExpiredRequest'];
const REFUSED = ['EntityTooLarge', 'MetadataTooLarge', 'InvalidPart'];

/** The object store's answer in the queue's words; never holds keys or signed addresses. */
export function classifyS3Error(error: unknown, key: string, nowMs: number): Error {
  const status = statusOf(error);
  const name = nameOf(error);
  const message = `the object store answered ${status ?? 'nothing'}${name === '' ? '' : ` ${name}`} for ${key}`;
  const subject = { key, status: status ?? null };
  const halt = (code: string, hint: string): HaltPipelineError =>
    new HaltPipelineError(code, message, {
      subject,
      hint,
      pauseMs: minutes(60),
      cause: error,
      isNeverOwnFault: true,
    });
  if (CLOCK.includes(name))
    return halt('clock_wrong', 'The clock of this machine is wrong; check time synchronisation.');
  if (name === 'NoSuchBucket')
    return halt('no_such_bucket', 'Create the bucket, or correct publish.r2.bucket.');
  if (BAD_KEYS.includes(name) || status === 401 || status === 403)
    return halt(
      'bad_credentials',
      'Check R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY and what the token may do.',
    );
  if (REFUSED.includes(name) || status === 411 || status === 413 || status === 501)
    return new PermanentError('object_refused', message, { subject, cause: error });
  if (status === undefined) return new UnavailableError('network', message, { subject, cause: error });
  const told = parseRetryAfter(retryAfterOf(error), nowMs) ?? 0;
  const isPaced = status === 429 || status === 503;
  const ErrorClass = isPaced || status === 502 || status === 504 ? UnavailableError : RetryableError;
  return new ErrorClass(name === 'BadDigest' ? 'bad_digest' : 'http_status', message, {
    subject,
    cause: error,
    ...(isPaced || told > 0 ? { retryAfterMs: Math.max(WRITE_INTERVAL_MS, told) } : {}),
  });
}

function nameOf(error: unknown): string {
  // Answers to HEAD have no body, so the SDK has no name for them.
  const name = error instanceof Error ? error.name : '';
  return /^(Error|Unknown|UnknownError|NotFound)$/.test(name) ? '' : name;
}

/** undefined when no answer came. */
function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

function retryAfterOf(error: unknown): string | undefined {
  return (error as { $response?: { headers?: Record<string, string> } }).$response?.headers?.['retry-after'];
}
