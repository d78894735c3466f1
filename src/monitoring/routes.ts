import { type Context, Hono } from 'hono';
import { z } from 'zod';
import type { Db } from '../db/index.ts';
import { describeError } from '../lib/index.ts';
import type { Disk, Log } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';
import { CONTROL_PATH, type Control, createControlApi } from './control-api.ts';
import { createCoverageQueries, type WikiJudge } from './coverage-queries.ts';
import { addCoverageRoutes } from './coverage-routes.ts';
import { createCycleQueries } from './cycle-queries.ts';
import { etagOf, sendFile, sendText } from './files.ts';
import type { LiveFeed } from './live-feed.ts';
import { LIVE_SCRIPT } from './live-script.ts';
import { cyclePage, cyclesPage } from './pages/cycles.ts';
import { type FrameFacts, frame, messagePage } from './pages/frame.ts';
import { jobPage, jobsPage } from './pages/jobs.ts';
import { overviewPage } from './pages/overview.ts';
import type { Html } from './pages/parts.ts';
import { currentHalts, readStatus, type StatusSources, standstillReason } from './status.ts';
import { ICON, STYLE } from './style.ts';
import { createTorrentQueries } from './torrent-queries.ts';
import { addTorrentRoutes } from './torrent-routes.ts';
import { FILE_STATUSES, JOB_STATUSES } from './types.ts';
import { addWebseedRoutes, type Webseed } from './webseed-routes.ts';

/** Eight years of them. */
const CYCLES_LISTED = 200;
/** Rows on one page of a list. */
const PAGE_SIZE = 50;
/** Style and script carry their own hash in the address, so they may be kept for a year. */
const ASSET_SECONDS = 365 * 24 * 60 * 60;

const PageNumber = z.coerce.number().int().min(1).max(100_000).catch(1);
const JobStatusWord = z.enum(JOB_STATUSES).optional().catch(undefined);
const FileStatusWord = z.enum(FILE_STATUSES).optional().catch(undefined);
const TypeWord = z
  .string()
  .regex(/^[a-z0-9_]{1,64}$/)
  .optional()
  .catch(undefined);
const WikiWord = z
  .string()
  .regex(/^[a-z0-9_-]{1,64}$/)
  .optional()
  .catch(undefined);

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** What the pages are made from. */
export interface RouteDeps extends StatusSources {
  db: Db;
  disk: Disk;
  log: Log;
  layout: Layout;
  feed: LiveFeed;
  /** Which wikis are wanted; default: all that are not private. */
  judgeWiki?: WikiJudge;
  /** Without it nothing can be changed. */
  control?: Control;
  /** Without it no file of a torrent is served. */
  webseed?: Webseed;
}

/** Every address of the status page. Anything but GET and HEAD is refused before it is looked at, the control addresses apart. */
export function createRoutes(deps: RouteDeps): Hono {
  const { queries, clock, disk, log, layout, feed, version } = deps;
  const assetTag = etagOf(STYLE + LIVE_SCRIPT).slice(1, 11);
  const app = new Hono();
  const cycleQueries = createCycleQueries(deps);

  const facts = (title: string, current: FrameFacts['current']): FrameFacts => ({
    title,
    current,
    now: clock.now(),
    version,
    assetTag,
  });
  const page = (
    c: Context,
    title: string,
    current: FrameFacts['current'],
    body: Html,
  ): Response | Promise<Response> => {
    c.header('Cache-Control', 'no-store');
    return c.html(frame(facts(title, current), body));
  };
  const notFound = (c: Context, text: string): Response | Promise<Response> => {
    c.header('Cache-Control', 'no-store');
    return c.html(messagePage(facts('Not found', null), text), 404);
  };

  function healthReason(at: number): string | null {
    try {
      return standstillReason({
        movement: queries.movement(),
        halts: currentHalts(deps),
        pauses: queries.pauses(),
        at,
        startedAt: deps.startedAt,
      });
    } catch (error) {
      return `The database cannot be read: ${describeError(error)}`;
    }
  }

  /** Names and times for programs; a database that cannot be read has its reason already. */
  function haltedNow(at: number): { target: string; kind: string; until: string | null }[] {
    try {
      return currentHalts(deps)
        .filter(({ until }) => until === null || until > at)
        .map(({ target, kind, until }) => ({
          target,
          kind,
          until: until === null ? null : new Date(until).toISOString(),
        }));
    } catch {
      return [];
    }
  }

  app.use(async (c, next) => {
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) c.header(name, value);
    const isControl = deps.control !== undefined && CONTROL_PATH.test(c.req.path);
    if (!isControl && c.req.raw.method !== 'GET' && c.req.raw.method !== 'HEAD') {
      c.header('Allow', 'GET, HEAD');
      return c.text('This page only shows: use GET or HEAD.\n', 405);
    }
    await next();
  });

  if (deps.control !== undefined)
    app.route('/api/v1', createControlApi({ control: deps.control, log, onChange: () => feed.changed() }));

  app.get('/', async (c) => page(c, 'Overview', '/', overviewPage(await readStatus(deps))));

  app.get('/jobs', async (c) => {
    await queries.freshen();
    const filter = {
      status: JobStatusWord.parse(c.req.query('status')),
      type: TypeWord.parse(c.req.query('type')),
    };
    const jobs = queries.jobs({
      ...filter,
      page: PageNumber.parse(c.req.query('page')),
      pageSize: PAGE_SIZE,
    });
    return page(
      c,
      'Jobs',
      '/jobs',
      jobsPage({ jobs, counts: queries.jobCounts(), filter, now: clock.now() }),
    );
  });

  app.get('/jobs/:id', (c) => {
    const id = c.req.param('id');
    const job = /^\d{1,15}$/.test(id) ? queries.job(Number(id)) : null;
    if (job === null) return notFound(c, 'There is no such job. Finished jobs are removed after some time.');
    return page(c, `Job ${job.id}`, '/jobs', jobPage(job, clock.now()));
  });

  app.get('/cycles', async (c) => {
    await queries.freshen({ cycles: CYCLES_LISTED });
    return page(c, 'Cycles', '/cycles', cyclesPage(queries.cycles(CYCLES_LISTED)));
  });

  app.get('/cycles/:date', async (c) => {
    const date = c.req.param('date');
    const cycle = /^\d{4}-\d{2}-\d{2}$/.test(date) ? queries.cycle(date) : null;
    if (cycle === null)
      return notFound(c, 'There is no such cycle. Cycles are named by their date, as in 2026-11-20.');
    const filter = {
      status: FileStatusWord.parse(c.req.query('status')),
      wiki: WikiWord.parse(c.req.query('wiki')),
    };
    await cycleQueries.freshen(cycle);
    const number = PageNumber.parse(c.req.query('page'));
    const files = queries.cycleFiles({ cycleDate: date, ...filter, page: number, pageSize: PAGE_SIZE });
    return page(
      c,
      `Cycle ${date}`,
      '/cycles',
      cyclePage(cycle, cycleQueries.detail(cycle), files, filter, clock.now()),
    );
  });

  addCoverageRoutes(app, { page, clock, coverage: createCoverageQueries(deps) });

  const { seeding } = deps;
  const torrents = createTorrentQueries(deps);
  addTorrentRoutes(app, { page, notFound, torrents, clock, ...(seeding === undefined ? {} : { seeding }) });

  app.get('/torrents/:name', async (c) => {
    const match = /^([A-Za-z0-9_][A-Za-z0-9._-]{0,199})\.torrent$/.exec(c.req.param('name'));
    const known = match === null ? null : queries.torrentFile(match[1] ?? '');
    const sent =
      known === null || match === null
        ? null
        : await sendFile(c, disk, {
            path: known.path.startsWith('/') ? known.path : layout.absolute(known.path),
            contentType: 'application/x-bittorrent',
            downloadName: match[0],
          });
    return (
      sent ?? notFound(c, 'There is no such torrent file. All torrents are listed on the torrents page.')
    );
  });

  if (deps.webseed !== undefined) addWebseedRoutes(app, { webseed: deps.webseed, clock, log, notFound });

  for (const [name, contentType] of [
    ['manifest.json', 'application/json; charset=utf-8'],
    ['manifest.txt', 'text/plain; charset=utf-8'],
  ] as const)
    app.get(`/${name}`, async (c) => {
      const sent = await sendFile(c, disk, { path: `${layout.publish}/${name}`, contentType });
      return (
        sent ?? notFound(c, 'There is no manifest yet. It is written when the first cycle is published.')
      );
    });

  app.get('/healthz', (c) => {
    const at = clock.now();
    const reason = healthReason(at);
    c.header('Cache-Control', 'no-store');
    return c.json(
      { ok: reason === null, reason, halts: haltedNow(at), at: new Date(at).toISOString(), version },
      reason === null ? 200 : 503,
    );
  });

  app.get('/readyz', (c) => {
    c.header('Cache-Control', 'no-store');
    return c.json({ ok: deps.db.sqlite.open }, deps.db.sqlite.open ? 200 : 503);
  });

  app.get('/api/v1/status', async (c) => {
    c.header('Cache-Control', 'no-store');
    return c.json(await readStatus(deps));
  });

  app.get('/events', (c) => {
    c.header('Content-Type', 'text/event-stream');
    c.header('Cache-Control', 'no-store');
    c.header('X-Accel-Buffering', 'no');
    if (c.req.raw.method === 'HEAD') return c.body(null, 200);
    const stream = feed.open();
    if (stream === null) {
      c.header('Retry-After', '30');
      return c.text('Too many pages are listening; this one shows the state of when it was opened.\n', 503);
    }
    return c.body(stream, 200);
  });

  app.get('/assets/style.css', (c) => sendText(c, STYLE, 'text/css; charset=utf-8', ASSET_SECONDS));
  app.get('/assets/live.js', (c) =>
    sendText(c, LIVE_SCRIPT, 'text/javascript; charset=utf-8', ASSET_SECONDS),
  );
  app.get('/assets/icon.svg', (c) => sendText(c, ICON, 'image/svg+xml', 0));

  app.notFound((c) => notFound(c, 'There is no such page.'));
  app.onError((error, c) => {
    log.error({ room: 'monitoring', path: c.req.path.slice(0, 200), err: error }, 'a page could not be made');
    const hint = `The log says more: ${describeError(error).slice(0, 300)}`;
    c.header('Cache-Control', 'no-store');
    return c.html(messagePage(facts('This page could not be made', null), hint), 500);
  });
  return app;
}
