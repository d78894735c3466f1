import { asc } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import { RetryableError } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Catalog } from './catalog.ts';
import { HELD_STATUSES, TEXT_TYPES } from './types.ts';

const { wikis } = schema;

const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ');
const HELD_LIST = quoted(HELD_STATUSES);
const TEXT_LIST = quoted(TEXT_TYPES);

/** Wikis close a few a year: a matrix that lacks more than this many and more than this share of them is cut off. */
const VANISHED_MAX = 3;
const VANISHED_SHARE_MAX = 0.05;

/** Everything on the `wikis` table. */
export function createWikiStore({
  db,
  clock,
}: {
  db: Db;
  clock: Clock;
}): Pick<
  Catalog,
  'recordWikis' | 'noteDumped' | 'noteOldestRun' | 'recordPageCounts' | 'wikis' | 'isCovered'
> {
  // Prepared once: built anew for each of a thousand wikis it would block the event loop for 0.1 s.
  const put = db.sqlite.prepare<[Record<string, unknown>]>(
    `INSERT INTO wikis (wiki_db_name, project, language, url, name, is_closed, is_private, is_fishbowl, discovered_at, last_seen_at)
     VALUES (@wikiDbName, @project, @language, @url, @name, @isClosed, @isPrivate, @isFishbowl, @now, @now)
     ON CONFLICT (wiki_db_name) DO UPDATE SET project = @project, language = @language, url = @url, name = @name,
       is_closed = @isClosed, is_private = @isPrivate, is_fishbowl = @isFishbowl, last_seen_at = @now, vanished_at = NULL`,
  );
  const names = db.sqlite.prepare<[], string>('SELECT wiki_db_name FROM wikis').pluck();
  const present = db.sqlite
    .prepare<[], string>('SELECT wiki_db_name FROM wikis WHERE vanished_at IS NULL')
    .pluck();
  const vanish = db.sqlite.prepare<[number, string]>(
    'UPDATE wikis SET vanished_at = ? WHERE wiki_db_name = ?',
  );
  const dumped = db.sqlite.prepare<[number, string]>(
    'UPDATE wikis SET dumped_seen_at = ? WHERE wiki_db_name = ?',
  );
  const oldest = db.sqlite.prepare<[string, number, string]>(
    'UPDATE wikis SET oldest_run_date = ?, oldest_run_seen_at = ? WHERE wiki_db_name = ?',
  );
  const pages = db.sqlite.prepare<[number, string]>('UPDATE wikis SET page_count = ? WHERE wiki_db_name = ?');
  const everyWiki = db.orm.select().from(wikis).orderBy(asc(wikis.wikiDbName)).prepare();
  // Every file of the set must be held: one part of twenty is no copy.
  const covered = db.sqlite
    .prepare<[string], number>(
      `SELECT 1 FROM dumps INDEXED BY idx_dumps_text WHERE wiki_db_name = ? AND dump_type IN (${TEXT_LIST})
        GROUP BY source, run_date, dump_type
       HAVING sum(our_status NOT IN (${HELD_LIST}) AND ia_verified_at IS NULL) = 0 LIMIT 1`,
    )
    .pluck();
  return {
    recordWikis(list) {
      return db.transaction(() => {
        const now = clock.now();
        const known = new Set(names.all());
        let added = 0;
        for (const facts of list) {
          if (!known.has(facts.wikiDbName)) added += 1;
          put.run({
            ...facts,
            isClosed: facts.isClosed ? 1 : 0,
            isPrivate: facts.isPrivate ? 1 : 0,
            isFishbowl: facts.isFishbowl ? 1 : 0,
            now,
          });
        }
        const listed = new Set(list.map((w) => w.wikiDbName));
        const there = present.all();
        const gone = there.filter((name) => !listed.has(name));
        if (gone.length > VANISHED_MAX && gone.length > there.length * VANISHED_SHARE_MAX)
          throw new RetryableError(
            'suspicious_site_matrix',
            `the site matrix lacks ${gone.length} of ${there.length} known wikis, so it is not believed`,
          );
        for (const name of gone) vanish.run(now, name);
        return { added, vanished: gone.length };
      });
    },
    noteDumped: (names) =>
      db.transaction(() => {
        const now = clock.now();
        for (const name of names) dumped.run(now, name);
      }),
    noteOldestRun: (wikiDbName, runDate) => void oldest.run(runDate, clock.now(), wikiDbName),
    recordPageCounts: (counts) =>
      db.transaction(() => {
        for (const [name, count] of counts) pages.run(count, name);
      }),
    isCovered: (wikiDbName) => covered.get(wikiDbName) !== undefined,
    wikis: () => everyWiki.all(),
  };
}
