import type { Context, Hono } from 'hono';
import { z } from 'zod';
import type { Clock } from '../ports/index.ts';
import type { CoverageQueries } from './coverage-queries.ts';
import { coverageCsv } from './coverage-words.ts';
import { type CoverageFilterWords, coveragePage, coverageRows, isUnknown } from './pages/coverage.ts';
import type { Html } from './pages/parts.ts';

/** Rows on one page of the list. */
const PAGE_SIZE = 200;

const PageNumber = z.coerce.number().int().min(1).max(100_000).catch(1);

/** `/coverage`, and the same as a table for other programs. */
export function addCoverageRoutes(
  app: Hono,
  deps: {
    coverage: CoverageQueries;
    clock: Clock;
    page(c: Context, title: string, current: '/coverage', body: Html): Response | Promise<Response>;
  },
): void {
  const { coverage: queries, clock } = deps;
  const filterOf = (c: Context): CoverageFilterWords => {
    const project = c.req.query('project');
    return {
      // Whatever it is, it is only compared and escaped.
      project: project === undefined || project === '' ? undefined : project.slice(0, 100),
      isMissingOnly: c.req.query('missing') === '1',
    };
  };

  app.get('/coverage', async (c) => {
    await queries.freshen();
    const coverage = queries.coverage();
    const filter = filterOf(c);
    if (isUnknown(coverage, filter)) c.status(404);
    const found = coverageRows(coverage, filter);
    const pageCount = Math.max(1, Math.ceil(found.length / PAGE_SIZE));
    const number = Math.min(PageNumber.parse(c.req.query('page')), pageCount);
    const items = found.slice((number - 1) * PAGE_SIZE, number * PAGE_SIZE);
    const rows = { items, page: number, pageSize: PAGE_SIZE, pageCount, total: found.length };
    return deps.page(c, 'Coverage', '/coverage', coveragePage({ coverage, rows, filter, now: clock.now() }));
  });

  app.get('/coverage.csv', async (c) => {
    await queries.freshen();
    const coverage = queries.coverage();
    const filter = filterOf(c);
    const rows = coverageRows(coverage, filter);
    c.header('Cache-Control', 'no-store');
    if (isUnknown(coverage, filter)) return c.text(`There is no project ${filter.project}.\n`, 404);
    c.header('Content-Type', 'text/csv; charset=utf-8; header=present');
    c.header('Content-Disposition', 'attachment; filename="wikiseed-coverage.csv"');
    return c.body(coverageCsv(rows, clock.now()));
  });
}
