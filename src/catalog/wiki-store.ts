import { asc, eq, isNull } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import { RetryableError } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Catalog } from './types.ts';

const { wikis } = schema;

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
}): Pick<Catalog, 'recordWikis' | 'wikis'> {
  return {
    recordWikis(list) {
      return db.transaction(() => {
        const now = clock.now();
        const known = new Set(
          db.orm
            .select({ name: wikis.wikiDbName })
            .from(wikis)
            .all()
            .map((w) => w.name),
        );
        let added = 0;
        for (const facts of list) {
          if (!known.has(facts.wikiDbName)) added += 1;
          db.orm
            .insert(wikis)
            .values({ ...facts, discoveredAt: now, lastSeenAt: now })
            .onConflictDoUpdate({
              target: wikis.wikiDbName,
              set: { ...facts, lastSeenAt: now, vanishedAt: null },
            })
            .run();
        }
        const listed = new Set(list.map((w) => w.wikiDbName));
        const present = db.orm.select().from(wikis).where(isNull(wikis.vanishedAt)).all();
        const gone = present.filter((wiki) => !listed.has(wiki.wikiDbName));
        if (gone.length > VANISHED_MAX && gone.length > present.length * VANISHED_SHARE_MAX)
          throw new RetryableError(
            'suspicious_site_matrix',
            `the site matrix lacks ${gone.length} of ${present.length} known wikis, so it is not believed`,
          );
        for (const { id } of gone)
          db.orm.update(wikis).set({ vanishedAt: now }).where(eq(wikis.id, id)).run();
        return { added, vanished: gone.length };
      });
    },
    wikis: () => db.orm.select().from(wikis).orderBy(asc(wikis.wikiDbName)).all(),
  };
}
