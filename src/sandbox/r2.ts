import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { createFaultList, type FaultList } from './faults.ts';
import { type RunningServer, startHttpServer } from './http-server.ts';
import { checkSignature } from './r2-signature.ts';
import { ObjectStore, type StoredObject } from './r2-store.ts';
import { matchesContentMd5, receiveToFile } from './receive-body.ts';
import { answeredByFault, requestLine, sendAnswer } from './send-body.ts';
import { serveFile } from './serve-file.ts';

/** Options of the object store; everything but `dir` has a default. */
export interface R2Options {
  /** Where objects live; they survive a restart. */
  dir: string;
  bucket?: string;
  accessKeyId?: string;
  secretAccessKey?: string;
  faults?: FaultList;
  port?: number;
  /** Shortest time between two writes of one key, else 429; default 1000 ms as on R2, 0 switches it off. */
  writeIntervalMs?: number;
}

/** A running object store. `endpoint` takes S3 calls in path style, `publicBaseUrl` plain reads of its one bucket. */
export interface R2 extends RunningServer {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly publicBaseUrl: string;
  readonly faults: FaultList;
  /** `puts` are accepted writes since the start, `objects` what the bucket holds now. */
  counters(): { puts: number; objects: number };
  /** How often each object was written since the start, by its key. */
  accepted(): ReadonlyMap<string, number>;
}

const messages: Readonly<Record<string, [status: number, message: string]>> = {
  AccessDenied: [403, 'Access Denied'],
  BadDigest: [400, 'The Content-MD5 you specified did not match what we received.'],
  InvalidAccessKeyId: [403, 'The access key id you provided does not exist in our records.'],
  MethodNotAllowed: [405, 'The specified method is not allowed against this resource.'],
  MissingContentLength: [411, 'You must provide the Content-Length HTTP header.'],
  NoSuchBucket: [404, 'The specified bucket does not exist.'],
  NoSuchKey: [404, 'The specified key does not exist.'],
  NotImplemented: [501, 'A header you provided implies functionality that is not implemented.'],
  SignatureDoesNotMatch: [
    403,
    'The request signature we calculated does not match the signature you provided.',
  ],
  TooManyRequests: [429, 'Reduce your concurrent request rate for the same object.'],
  XAmzContentSHA256Mismatch: [
    400,
    'The provided x-amz-content-sha256 header does not match what was computed.',
  ],
};

/** Starts an S3 server as far as R2's clients need it: Put, Head, Get, Delete and ListObjectsV2. */
export async function startR2(options: R2Options): Promise<R2> {
  const bucket = options.bucket ?? 'wikiseed';
  const accessKeyId = options.accessKeyId ?? 'sandbox-r2-key';
  const secretAccessKey = options.secretAccessKey ?? 'sandbox-r2-secret';
  const faults = options.faults ?? createFaultList();
  const store = await ObjectStore.open(join(options.dir, bucket));
  const writeIntervalMs = options.writeIntervalMs ?? 1000;
  const lastWriteMs = new Map<string, number>();
  let puts = 0;
  const accepted = new Map<string, number>();

  const put = async (
    req: IncomingMessage,
    res: ServerResponse,
    key: string,
    expectsContinue: boolean,
  ): Promise<void> => {
    const { headers } = req;
    const unsupported = Object.keys(headers).some((name) =>
      /^x-amz-(?:checksum-|sdk-checksum|trailer)/.test(name),
    );
    if (unsupported || String(headers['x-amz-content-sha256']).startsWith('STREAMING'))
      return fail(req, res, 'NotImplemented');
    if (headers['content-length'] === undefined) return fail(req, res, 'MissingContentLength');
    const now = performance.now();
    if (now - (lastWriteMs.get(key) ?? Number.NEGATIVE_INFINITY) < writeIntervalMs)
      return fail(req, res, 'TooManyRequests');
    lastWriteMs.set(key, now);
    const stall = faults.take('r2', requestLine(req), ['stall']);
    if (stall !== null) await Promise.race([stall.released, once(res, 'close')]);
    const cut = faults.take('r2', requestLine(req), ['reset']);
    if (expectsContinue) res.writeContinue();
    const incoming = store.incomingPath();
    const body = await receiveToFile(req, incoming, cut?.spec.atByte ?? null);
    if (body === null) return;
    const payload = headers['x-amz-content-sha256'];
    const digest = headers['content-md5'];
    const refusal =
      typeof digest === 'string' && !matchesContentMd5(digest, body)
        ? 'BadDigest'
        : typeof payload === 'string' && /^[0-9a-f]{64}$/.test(payload) && payload !== body.sha256
          ? 'XAmzContentSHA256Mismatch'
          : null;
    if (refusal !== null) {
      await rm(incoming, { force: true });
      return fail(req, res, refusal);
    }
    const kept = Object.entries(headers).filter(([name]) =>
      /^(?:content-type|cache-control|x-amz-meta-.+)$/.test(name),
    );
    await store.adopt(
      {
        key,
        sizeBytes: body.sizeBytes,
        md5: body.md5,
        modifiedAtMs: Date.now(),
        headers: Object.fromEntries(kept) as Record<string, string>,
      },
      incoming,
    );
    puts += 1;
    accepted.set(key, (accepted.get(key) ?? 0) + 1);
    res.writeHead(200, { ETag: `"${body.md5}"`, 'Content-Length': 0 }).end();
  };

  const read = async (req: IncomingMessage, res: ServerResponse, key: string): Promise<void> => {
    const object = store.objects.get(key);
    const options = object && { server: 'r2' as const, faults, ...objectHeaders(object) };
    if (!options || !(await serveFile(req, res, store.path(key), options))) fail(req, res, 'NoSuchKey');
  };

  const server = await startHttpServer(options.port ?? 0, async (req, res, expectsContinue) => {
    if (answeredByFault(faults, 'r2', req, res)) return;
    const url = new URL(req.url ?? '/', 'http://127.0.0.1');
    const [, first = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
    const key = rest.join('/');
    const isReading = req.method === 'GET' || req.method === 'HEAD';
    if (first === 'public' && isReading) return read(req, res, key);
    const refusal = checkSignature(req, { accessKeyId, secretAccessKey });
    if (refusal !== null) return fail(req, res, refusal);
    if (first !== bucket) return fail(req, res, 'NoSuchBucket');
    if (req.method === 'PUT' && key !== '') return put(req, res, key, expectsContinue);
    if (req.method === 'DELETE' && key !== '') {
      await store.remove(key);
      res.writeHead(204).end();
      return;
    }
    if (!isReading) return fail(req, res, 'MethodNotAllowed');
    if (key !== '') return read(req, res, key);
    const body = Buffer.from(req.method === 'HEAD' ? '' : listing(bucket, url, [...store.objects.values()]));
    await sendAnswer(req, res, {
      server: 'r2',
      faults,
      status: 200,
      headers: { 'Content-Type': 'application/xml' },
      body,
    });
  });
  return {
    ...server,
    endpoint: server.baseUrl,
    bucket,
    accessKeyId,
    secretAccessKey,
    publicBaseUrl: `${server.baseUrl}/public`,
    faults,
    counters: () => ({ puts, objects: store.objects.size }),
    accepted: () => accepted,
  };
}

function objectHeaders(object: StoredObject): { headers: Record<string, string>; contentType: string } {
  const { 'content-type': contentType = 'application/octet-stream', ...headers } = object.headers;
  return { contentType, headers: { ...headers, ETag: `"${object.md5}"` } };
}

const escapeText = (text: string): string =>
  text.replace(/[&<>]/g, (c) => (c === '&' ? '&amp;' : c === '<' ? '&lt;' : '&gt;'));

/** ListObjectsV2 with `prefix`, `max-keys` and `continuation-token` (the last key of the page before). */
function listing(bucket: string, url: URL, objects: readonly StoredObject[]): string {
  const prefix = url.searchParams.get('prefix') ?? '';
  const after = url.searchParams.get('continuation-token') ?? url.searchParams.get('start-after') ?? '';
  const keysMax = Math.min(1000, Number(url.searchParams.get('max-keys') ?? 1000));
  const found = objects
    .filter(({ key }) => key.startsWith(prefix) && key > after)
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const page = found.slice(0, keysMax);
  const isTruncated = found.length > page.length;
  const rows = page.map(
    ({ key, md5, sizeBytes, modifiedAtMs }) =>
      `<Contents><Key>${escapeText(key)}</Key><LastModified>${new Date(modifiedAtMs).toISOString()}</LastModified><ETag>&quot;${md5}&quot;</ETag><Size>${sizeBytes}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  );
  const next = isTruncated
    ? `<NextContinuationToken>${escapeText(page.at(-1)?.key ?? '')}</NextContinuationToken>`
    : '';
  return `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${bucket}</Name><Prefix>${escapeText(prefix)}</Prefix><KeyCount>${page.length}</KeyCount><MaxKeys>${keysMax}</MaxKeys><IsTruncated>${isTruncated}</IsTruncated>${next}${rows.join('')}</ListBucketResult>`;
}

function fail(req: IncomingMessage, res: ServerResponse, code: string): void {
  const [status, message] = messages[code] ?? [400, code];
  const resource = escapeText((req.url ?? '/').split('?')[0] ?? '/');
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message><Resource>${resource}</Resource></Error>`;
  // An upload's body may still be on its way: this connection cannot be used again.
  const connection: Record<string, string> = req.method === 'PUT' ? { Connection: 'close' } : {};
  res
    .writeHead(status, { 'Content-Type': 'application/xml', ...connection })
    .end(req.method === 'HEAD' ? undefined : body);
  req.resume();
}
