import { sql } from 'drizzle-orm';
import { check, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

/** Our unit of work: everything Wikimedia dumped under one date. Owner: catalog. */
export const cycles = sqliteTable(
  'cycles',
  {
    cycleDate: text('cycle_date').primaryKey(),
    status: text().notNull().default('open'),
    includesHistory: integer('includes_history', { mode: 'boolean' }).notNull(),
    /** Epoch ms of the first complete look at every wiki; the expected set is not known before. */
    scannedAt: integer('scanned_at'),
    /** Epoch ms after which it is sealed with whatever is settled. */
    deadlineAt: integer('deadline_at').notNull(),
    /** It was moved on once, because nobody had looked for days when it came. */
    isPostponed: integer('is_postponed', { mode: 'boolean' }).notNull().default(false),
    openedAt: integer('opened_at').notNull(),
    sealedAt: integer('sealed_at'),
    torrentedAt: integer('torrented_at'),
    seedingAt: integer('seeding_at'),
    publishedAt: integer('published_at'),
  },
  (t) => [
    check('cycles_status', sql`${t.status} IN ('open','sealed','torrented','seeding','published')`),
    check('cycles_sealed', sql`(${t.status} = 'open') = (${t.sealedAt} IS NULL)`),
    check('cycles_published', sql`(${t.status} = 'published') = (${t.publishedAt} IS NOT NULL)`),
  ],
);
