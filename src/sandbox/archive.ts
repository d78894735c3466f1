import { rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { archiveError, errorStatus, metadataFromHeaders } from './archive-headers.ts';
import { answerSite } from './archive-site.ts';
import { ArchiveStore, type StoredItem, storedFile } from './archive-store.ts';
import { ArchiveTasks } from './archive-tasks.ts';
import { createFaultList, type FaultList } from './faults.ts';
import { type RunningServer, startHttpServer } from './http-server.ts';
import { matchesContentMd5, receiveToFile } from './receive-body.ts';
import { answeredByFault, requestLine } from './send-body.ts';

/** LOW keys. */
export interface ArchiveKeys {
  access: string;
  secret: string;
}

/** The keys that the sandbox accepts unless told otherwise. */
export const defaultArchiveKeys: ArchiveKeys = { access: 'sandbox-access', secret: 'sandbox-secret' };

/** Options of the archive; everything but `dir` has a default. */
export interface ArchiveOptions {
  /** Where items live; they survive a restart. */
  dir: string;
  keys?: ArchiveKeys;
  faults?: FaultList;
  port?: number;
  /** How long a file stays queued before it is visible, in milliseconds; default 300, 0 for at once. */
  taskDelayMs?: number;
}

/** Totals: puts are requests with a body received whole; items and files are what the store holds now. */
export interface ArchiveCounters {
  puts: number;
  putBytes: number;
  items: number;
  files: number;
}

/** A running archive: uploads, metadata, tasks and downloads on one address. */
export interface Archive extends RunningServer {
  readonly keys: ArchiveKeys;
  readonly faults: FaultList;
  counters(): ArchiveCounters;
  /** How often each file was taken since the start, by `<identifier>/<key>`. */
  accepted(): ReadonlyMap<string, number>;
  /** Resolves when no task is waiting, so that everything uploaded so far is visible or failed. */
  whenIdle(): Promise<void>;
  /** Runs all waiting tasks now, so that a test need not wait for the clock. */
  runTasks(): Promise<void>;
}

const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._-]{2,99}$/;

/** Starts an Internet Archive. `PUT`/`DELETE` are the upload API, everything else is archive.org's own site. */
export async function startArchive(options: ArchiveOptions): Promise<Archive> {
  const faults = options.faults ?? createFaultList();
  const keys = options.keys ?? defaultArchiveKeys;
  const store = await ArchiveStore.open(options.dir);
  const tasks = new ArchiveTasks(store, options.taskDelayMs ?? 300);
  const counters = { puts: 0, putBytes: 0 };
  const accepted = new Map<string, number>();
  const upload = new UploadApi({ store, tasks, faults, keys, counters, accepted });
  tasks.resume();
  const server = await startHttpServer(options.port ?? 0, async (req, res, expectsContinue) => {
    if (answeredByFault(faults, 'ia', req, res)) return;
    if (req.method === 'PUT' || req.method === 'DELETE') await upload.answer(req, res, expectsContinue);
    else {
      if (expectsContinue) res.writeContinue();
      await answerSite(req, res, { store, tasks, faults, keys });
    }
  });
  return {
    ...server,
    stop: async () => {
      tasks.stop();
      await server.stop();
      await store.settled();
    },
    keys,
    faults,
    counters: () => ({
      ...counters,
      items: store.items.size,
      files: [...store.items.values()].reduce((sum, item) => sum + Object.keys(item.files).length, 0),
    }),
    accepted: () => accepted,
    whenIdle: () => tasks.whenIdle(),
    runTasks: () => tasks.runAll(),
  };
}

interface UploadDeps {
  store: ArchiveStore;
  tasks: ArchiveTasks;
  faults: FaultList;
  keys: ArchiveKeys;
  counters: { puts: number; putBytes: number };
  accepted: Map<string, number>;
}

class UploadApi {
  readonly #deps: UploadDeps;
  constructor(deps: UploadDeps) {
    this.#deps = deps;
  }

  async answer(req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): Promise<void> {
    const path = new URL(req.url ?? '/', 'http://127.0.0.1').pathname;
    const [, identifier = '', ...rest] = path.split('/');
    let key: string;
    try {
      key = rest.map(decodeURIComponent).join('/');
    } catch {
      return fail(req, res, 'InvalidURI', 'The URI is not valid percent-encoded UTF-8.', path);
    }
    const refusal = this.#refusal(req, identifier, key);
    if (refusal) return fail(req, res, refusal.code, refusal.message, refusal.resource ?? path);
    if (req.method === 'DELETE') return this.#delete(req, res, identifier, key);
    await this.#put(req, res, { identifier, key, path, expectsContinue });
  }

  /** Everything that is decided before the body: with 100-continue it costs the client no transfer. */
  #refusal(
    req: IncomingMessage,
    identifier: string,
    key: string,
  ): { code: string; message: string; resource?: string } | null {
    const { faults, keys, store } = this.#deps;
    const line = requestLine(req);
    const [scheme, pair = ''] = (req.headers.authorization ?? '').split(' ');
    const [access, secret] = pair.split(':');
    if (scheme?.toUpperCase() !== 'LOW') return { code: 'AccessDenied', message: 'Access Denied' };
    if (access !== keys.access)
      return { code: 'InvalidAccessKeyId', message: 'The access key does not exist.' };
    if (secret !== keys.secret)
      return { code: 'SignatureDoesNotMatch', message: 'The secret key does not match.' };
    const simulated = req.headers['x-archive-simulate-error'];
    if (typeof simulated === 'string') return { code: simulated, message: 'Simulated error.' };
    const slow = faults.take('ia', line, ['slow-down', 'spam']);
    if (slow?.spec.kind === 'spam') {
      const resource = `Upload of ${identifier} appears to be spam. If you believe this is a mistake, contact info@archive.org.`;
      return { code: 'SlowDown', message: 'Please reduce your request rate.', resource };
    }
    if (slow)
      return {
        code: 'SlowDown',
        message: 'Please reduce your request rate.',
        resource: slow.spec.message ?? '',
      };
    if (!IDENTIFIER.test(identifier))
      return { code: 'InvalidBucketName', message: 'The bucket name is not valid.' };
    if (key.length > 1024) return { code: 'KeyTooLong', message: 'The key is too long.' };
    if (key.split('/').some((segment) => segment === '.' || segment === '..')) {
      return { code: 'InvalidURI', message: 'The key has a relative segment.' };
    }
    if (req.method === 'PUT') {
      if (req.headers['content-length'] === undefined) {
        return { code: 'MissingContentLength', message: 'You must provide the Content-Length HTTP header.' };
      }
      const collision = [...store.items.keys()].find(
        (known) => known.toLowerCase() === identifier.toLowerCase(),
      );
      if (collision !== undefined && collision !== identifier) {
        return { code: 'BucketAlreadyExists', message: 'An item of that name exists in another case.' };
      }
    }
    const isMaking = req.method === 'PUT' && (makesBucket(req) || key === '');
    if (!store.items.has(identifier) && !isMaking)
      return { code: 'NoSuchBucket', message: 'The bucket does not exist.' };
    return null;
  }

  async #put(
    req: IncomingMessage,
    res: ServerResponse,
    target: { identifier: string; key: string; path: string; expectsContinue: boolean },
  ): Promise<void> {
    const { store, tasks, faults, counters, accepted } = this.#deps;
    const { identifier, key, path } = target;
    const cut = faults.take('ia', requestLine(req), ['reset']);
    if (target.expectsContinue) res.writeContinue();
    const incoming = store.incomingPath();
    const body = await receiveToFile(req, incoming, cut?.spec.atByte ?? null);
    // A broken upload leaves nothing behind: there is no resume and nothing half-stored becomes visible.
    if (body === null) return;
    counters.puts += 1;
    counters.putBytes += body.sizeBytes;
    const stall = faults.take('ia', requestLine(req), ['stall']);
    if (stall && !res.closed && !res.destroyed) {
      await Promise.race([stall.released, new Promise<void>((resolve) => res.once('close', resolve))]);
    }
    const digest = req.headers['content-md5'];
    if (typeof digest === 'string' && !matchesContentMd5(digest, body)) {
      await rm(incoming, { force: true });
      return fail(
        req,
        res,
        'BadDigest',
        'The Content-MD5 you specified did not match what we received.',
        path,
      );
    }
    const item = store.items.get(identifier) ?? this.#createItem(req, identifier);
    if (key === '') {
      await rm(incoming, { force: true });
      await store.save(item);
    } else {
      const file = storedFile(
        key,
        body,
        metadataFromHeaders(req.headers, 'x-archive-filemeta'),
        tasks.newTaskId(),
      );
      const taskFault = faults.take('ia', requestLine(req), ['task-error', 'late-loss']);
      if (taskFault?.spec.kind === 'late-loss') file.shownMd5 = '0'.repeat(32);
      if (req.headers['x-archive-keep-old-version'] === '1') await store.keepOldVersion(item, key);
      await store.adopt(item, file, incoming);
      const name = `${identifier}/${key}`;
      accepted.set(name, (accepted.get(name) ?? 0) + 1);
      await tasks.queue(item, file, taskFault?.spec.kind === 'task-error');
    }
    res.writeHead(200, { 'Content-Length': 0 }).end();
  }

  /** Item metadata is read here and never again: headers on later uploads are ignored, as on the real service. */
  #createItem(req: IncomingMessage, identifier: string): StoredItem {
    const item: StoredItem = {
      identifier,
      metadata: {
        identifier,
        mediatype: 'data',
        collection: 'opensource',
        ...metadataFromHeaders(req.headers, 'x-archive-meta'),
        uploader: 'operator@example.org',
      },
      created: Math.floor(Date.now() / 1000),
      files: {},
    };
    this.#deps.store.items.set(identifier, item);
    return item;
  }

  async #delete(req: IncomingMessage, res: ServerResponse, identifier: string, key: string): Promise<void> {
    const { store } = this.#deps;
    const item = store.items.get(identifier);
    if (item === undefined || !(await store.remove(item, key))) {
      return fail(req, res, 'NoSuchKey', 'The specified key does not exist.', key);
    }
    res.writeHead(204).end();
  }
}

function makesBucket(req: IncomingMessage): boolean {
  return [req.headers['x-archive-auto-make-bucket'], req.headers['x-amz-auto-make-bucket']].includes('1');
}

function fail(
  req: IncomingMessage,
  res: ServerResponse,
  code: string,
  message: string,
  resource: string,
): void {
  const body = archiveError(code, message, resource);
  // The body of the request is not read any further, so the connection cannot be used again.
  const headers = {
    'Content-Type': 'text/xml',
    'Content-Length': Buffer.byteLength(body),
    Connection: 'close',
  };
  res.writeHead(errorStatus[code] ?? 400, headers).end(body);
  req.resume();
}
