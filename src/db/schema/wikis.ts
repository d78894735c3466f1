import { sql } from 'drizzle-orm';
import { check, index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

/** Every wiki the site matrix ever named; a vanished one stays, marked, and stays protected. Owner: catalog. */
export const wikis = sqliteTable(
  'wikis',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    wikiDbName: text('wiki_db_name').notNull().unique(),
    project: text().notNull(),
    language: text().notNull(),
    url: text().notNull(),
    name: text().notNull().default(''),
    isClosed: integer('is_closed', { mode: 'boolean' }).notNull().default(false),
    isPrivate: integer('is_private', { mode: 'boolean' }).notNull().default(false),
    isFishbowl: integer('is_fishbowl', { mode: 'boolean' }).notNull().default(false),
    /** Epoch ms when it was first missing from the site matrix; null = listed. */
    vanishedAt: integer('vanished_at'),
    discoveredAt: integer('discovered_at').notNull(),
    lastSeenAt: integer('last_seen_at').notNull(),
    /** Epoch ms when upstream's index or listings last named it as a wiki with dumps; null = never. */
    dumpedSeenAt: integer('dumped_seen_at'),
    /** Date (`YYYYMMDD`) of the oldest run that upstream still listed, and when; tells how long upstream keeps its runs. */
    oldestRunDate: text('oldest_run_date'),
    oldestRunSeenAt: integer('oldest_run_seen_at'),
    /** Pages of all kinds according to Wikistats; only the order of work depends on it. */
    pageCount: integer('page_count'),
  },
  (t) => [
    index('idx_wikis_project_lang').on(t.project, t.language),
    check('wikis_db_name', sql`length(${t.wikiDbName}) BETWEEN 1 AND 64`),
  ],
);
