import type { Context, Hono } from 'hono';
import { z } from 'zod';
import { days } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Html } from './pages/parts.ts';
import { torrentPage } from './pages/torrent-detail.ts';
import { torrentsPage } from './pages/torrents.ts';
import type { TorrentQueries } from './torrent-types.ts';
import type { SeedingFact } from './types.ts';

/** What the pages of torrents need. */
export interface TorrentRouteDeps {
  torrents: TorrentQueries;
  clock: Clock;
  seeding?: () => Promise<SeedingFact[]>;
  page: (c: Context, title: string, current: '/torrents', body: Html) => Response | Promise<Response>;
  notFound: (c: Context, text: string) => Response | Promise<Response>;
}

const PAGE_SIZE = 50;
const PageNumber = z.coerce.number().int().min(1).max(100_000).catch(1);
const Grouping = z.enum(['cycle', 'wiki_run', 'project', 'language']).optional().catch(undefined);
const CycleDate = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}$/)
  .optional()
  .catch(undefined);

/** `/torrents` and `/torrents/<infohash>`. */
export function addTorrentRoutes(app: Hono, deps: TorrentRouteDeps): void {
  const { torrents, clock, page, notFound } = deps;
  const live = async (): Promise<SeedingFact[] | null> => (await deps.seeding?.().catch(() => null)) ?? null;

  app.get('/torrents', async (c) => {
    const grouping = Grouping.parse(c.req.query('kind'));
    const cycleDate = CycleDate.parse(c.req.query('cycle'));
    const filter = {
      ...(grouping === undefined ? {} : { grouping }),
      ...(cycleDate === undefined ? {} : { cycleDate }),
    };
    const list = torrents.list({
      ...filter,
      page: PageNumber.parse(c.req.query('page')),
      pageSize: PAGE_SIZE,
    });
    const facts = { torrents: list, filter, cycleDates: torrents.cycleDates(), seeding: await live() };
    return page(c, 'Torrents', '/torrents', torrentsPage(facts));
  });

  app.get('/torrents/:infohash{[0-9a-f]{40}}', async (c) => {
    const [torrent] = torrents.find(c.req.param('infohash'));
    if (torrent === undefined)
      return notFound(c, 'There is no such torrent. All torrents are listed on the torrents page.');
    const now = clock.now();
    const where = (name: string): { page: number; pageSize: number } => ({
      page: PageNumber.parse(c.req.query(name)),
      pageSize: PAGE_SIZE,
    });
    const facts = {
      ...{ torrent, now, live: (await live())?.find(({ infoHash }) => infoHash === torrent.infoHash) },
      webseeds: torrents.webseeds(torrent.id),
      trackers: torrents.trackers(torrent.trackers),
      files: torrents.files(torrent.id, where('files')),
      gaps: torrents.gaps(torrent.id, where('gaps')),
      history: torrents.history(torrent.id, now - days(365)),
    };
    return page(c, torrent.name, '/torrents', torrentPage(facts));
  });
}
