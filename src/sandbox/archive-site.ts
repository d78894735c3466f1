import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ArchiveKeys } from './archive.ts';
import type { ArchiveStore, StoredFile, StoredItem } from './archive-store.ts';
import type { ArchiveTasks } from './archive-tasks.ts';
import type { FaultList } from './faults.ts';
import { receiveText } from './receive-body.ts';
import { requestLine, sendAnswer } from './send-body.ts';
import { serveFile } from './serve-file.ts';

/** What the site reads from. */
export interface SiteDeps {
  store: ArchiveStore;
  tasks: ArchiveTasks;
  faults: FaultList;
  keys: ArchiveKeys;
}

/** Answers archive.org's own addresses: check_limit, metadata, tasks, check_identifier, whoami, download. */
export async function answerSite(req: IncomingMessage, res: ServerResponse, deps: SiteDeps): Promise<void> {
  const url = new URL(req.url ?? '/', 'http://127.0.0.1');
  const json = (body: unknown, status = 200): Promise<void> =>
    sendAnswer(req, res, {
      server: 'ia',
      faults: deps.faults,
      status,
      headers: { 'Content-Type': 'application/json' },
      body: Buffer.from(JSON.stringify(body)),
    });
  const [, first = '', ...rest] = url.pathname.split('/');
  const hasKeys = req.headers.authorization?.toUpperCase().startsWith('LOW ')
    ? req.headers.authorization.slice(4) === `${deps.keys.access}:${deps.keys.secret}`
    : false;
  if (url.searchParams.has('check_limit')) return json(limits(req, url, deps));
  if (first === 'metadata' && req.method === 'POST')
    return json(...(await writeMetadata(req, rest[0] ?? '', deps)));
  if (first === 'metadata') return json(metadataPart(itemMetadata(req, rest[0] ?? '', deps), rest.slice(1)));
  if (url.pathname === '/services/user.php') {
    if (!hasKeys) return json({ success: false, error: 'invalid or missing credentials' }, 401);
    const value = { itemname: '@sandbox', username: 'operator@example.org', screenname: 'Sandbox' };
    return json({ success: true, value });
  }
  if (url.pathname === '/services/check_identifier.php') {
    const identifier = url.searchParams.get('identifier') ?? '';
    const isTaken = [...deps.store.items.keys()].some(
      (known) => known.toLowerCase() === identifier.toLowerCase(),
    );
    return json({ type: 'success', code: isTaken ? 'not_available' : 'available', identifier });
  }
  if (url.pathname === '/services/tasks.php') {
    if (!hasKeys) return json({ success: false, error: 'Authentication required' }, 401);
    return json({ success: true, value: taskList(url, deps) });
  }
  if (first === 'download') return download(req, res, url, rest, deps);
  if (first === 'node') return node(req, res, rest, deps);
  res.writeHead(404, { 'Content-Type': 'text/html' }).end('<html><body>Not Found</body></html>');
}

function limits(req: IncomingMessage, url: URL, { store, tasks, faults }: SiteDeps): unknown {
  const isOver = faults.take('ia', requestLine(req), ['over-limit']) !== null;
  const bucket = url.searchParams.get('bucket') ?? '';
  const queued = [...store.items.values()].reduce((sum, item) => sum + tasks.summary(item).queued, 0);
  return {
    accesskey: url.searchParams.get('accesskey') ?? '',
    bucket,
    over_limit: isOver ? 1 : 0,
    detail: {
      accesskey_ration: 74,
      accesskey_tasks_queued: queued,
      bucket_ration: 24,
      bucket_tasks_queued: tasks.summary(store.items.get(bucket)).queued,
      limit_reason: isOver ? 'total_tasks_queued exceeds total_global_limit' : '',
      rationing_engaged: isOver ? 1 : 0,
      rationing_level: 1399,
      total_global_limit: 1799,
      total_tasks_queued: 1017 + queued,
    },
  };
}

/** The item as `/metadata/` shows it: numbers are texts, files appear only once their task has run, `{}` when absent. */
function itemMetadata(
  req: IncomingMessage,
  identifier: string,
  { store, tasks, faults }: SiteDeps,
): Record<string, unknown> {
  if (faults.take('ia', requestLine(req), ['dark']) !== null)
    return { is_dark: true, metadata: { identifier } };
  const item = store.items.get(identifier);
  if (item === undefined) return {};
  const visible = Object.values(item.files).filter((file) => file.state === 'visible');
  const files = [
    ...visible.map(fileRow),
    { name: `${identifier}_meta.xml`, source: 'original', format: 'Metadata', size: '1024' },
  ];
  files.push({ name: `${identifier}_files.xml`, source: 'original', format: 'Metadata', size: '2048' });
  const { queued, error } = tasks.summary(item);
  const pending = Object.values(item.files).filter((file) => file.state !== 'visible');
  return {
    created: item.created,
    d1: 'ia600000.sandbox',
    d2: 'ia800000.sandbox',
    dir: `/7/items/${identifier}`,
    server: 'ia600000.sandbox',
    uniq: 1,
    files_count: files.length,
    item_size: visible.reduce((sum, file) => sum + file.size, 0),
    metadata: item.metadata,
    files,
    ...(queued + error > 0 ? { tasks: pending.map((file) => taskRow(item, file)), pending_tasks: true } : {}),
  };
}

function fileRow(file: StoredFile): Record<string, unknown> {
  return {
    name: file.name,
    source: 'original',
    size: String(file.size),
    md5: file.shownMd5,
    crc32: file.crc32,
    sha1: file.sha1,
    mtime: String(file.mtime),
    format: 'Unknown',
    ...file.extra,
  };
}

function taskRow(item: StoredItem, file: StoredFile): Record<string, unknown> {
  return {
    task_id: file.taskId,
    identifier: item.identifier,
    cmd: 'archive.php',
    status: file.state === 'failed' ? 'error' : 'queued',
    submittime: new Date(file.mtime * 1000).toISOString().slice(0, 19).replace('T', ' '),
    args: { to: file.name },
  };
}

/** `/metadata/{id}/files` and deeper: the part, as `{"result": …}`, or the whole without a path. */
function metadataPart(whole: Record<string, unknown>, path: string[]): unknown {
  let part: unknown = whole;
  for (const name of path.filter(Boolean)) {
    part =
      typeof part === 'object' && part !== null
        ? (part as Record<string, unknown>)[decodeURIComponent(name)]
        : undefined;
    if (part === undefined) return { error: `Couldn't get '${name}'` };
  }
  return path.some(Boolean) ? { result: part } : whole;
}

function taskList(url: URL, { store, tasks }: SiteDeps): Record<string, unknown> {
  const item = store.items.get(url.searchParams.get('identifier') ?? '');
  const value: Record<string, unknown> = {};
  if (url.searchParams.get('summary') !== '0') value.summary = tasks.summary(item);
  if (item && url.searchParams.get('catalog') === '1') {
    value.catalog = Object.values(item.files)
      .filter((file) => file.state !== 'visible')
      .map((file) => taskRow(item, file));
  }
  return value;
}

/** Downloads go over a redirect to a data node, which here is another path of the same server. */
function download(
  req: IncomingMessage,
  res: ServerResponse,
  url: URL,
  path: string[],
  { store }: SiteDeps,
): void {
  const [identifier = '', ...key] = path;
  const file = store.items.get(identifier)?.files[key.map(decodeURIComponent).join('/')];
  if (file?.state !== 'visible') {
    res.writeHead(404, { 'Content-Type': 'text/html' }).end('<html><body>Not Found</body></html>');
    return;
  }
  const host = req.headers.host ?? '127.0.0.1';
  res.writeHead(302, { Location: `http://${host}/node${url.pathname.slice('/download'.length)}` }).end();
}

async function node(
  req: IncomingMessage,
  res: ServerResponse,
  path: string[],
  { store, faults }: SiteDeps,
): Promise<void> {
  const [identifier = '', ...key] = path;
  const name = key.map(decodeURIComponent).join('/');
  const isVisible = store.items.get(identifier)?.files[name]?.state === 'visible';
  const options = { server: 'ia', faults, contentType: 'application/octet-stream' } as const;
  if (isVisible && (await serveFile(req, res, store.filePath(identifier, name), options))) return;
  res.writeHead(404, { 'Content-Type': 'text/html' }).end('<html><body>Not Found</body></html>');
}

interface PatchStep {
  op: 'add' | 'replace' | 'remove' | 'test';
  path: string;
  value?: string | string[];
}

/** Metadata write (RFC 6902 on the top level of `metadata`); keys come in the form, not in a header. */
async function writeMetadata(
  req: IncomingMessage,
  identifier: string,
  { store, tasks, keys }: SiteDeps,
): Promise<[unknown, number]> {
  const form = new URLSearchParams(await receiveText(req));
  if (form.get('access') !== keys.access || form.get('secret') !== keys.secret) {
    return [{ success: false, error: 'invalid credentials' }, 403];
  }
  const item = store.items.get(identifier);
  if (item === undefined) return [{ success: false, error: 'item not found' }, 404];
  if (form.get('-target') !== 'metadata') return [{ success: false, error: 'unsupported target' }, 400];
  const before = JSON.stringify(item.metadata);
  const next = { ...item.metadata };
  for (const { op, path, value } of JSON.parse(form.get('-patch') ?? '[]') as PatchStep[]) {
    const field = path.slice(1);
    if (op === 'test') {
      if (JSON.stringify(next[field]) !== JSON.stringify(value))
        return [{ success: false, error: 'test failed' }, 400];
    } else if (op === 'remove') delete next[field];
    else if (value !== undefined) next[field] = value;
  }
  if (JSON.stringify(next) === before) return [{ success: false, error: 'no changes to _meta.xml' }, 400];
  item.metadata = next;
  await store.save(item);
  return [{ success: true, task_id: tasks.newTaskId() }, 200];
}
