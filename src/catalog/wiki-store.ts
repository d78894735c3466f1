import { asc, eq, isNull } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Catalog } from './types.ts';

const { wikis } = schema;

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
        let vanished = 0;
        for (const wiki of db.orm.select().from(wikis).where(isNull(wikis.vanishedAt)).all()) {
          if (listed.has(wiki.wikiDbName)) continue;
          db.orm.update(wikis).set({ vanishedAt: now }).where(eq(wikis.id, wiki.id)).run();
          vanished += 1;
        }
        return { added, vanished };
      });
    },
    wikis: () => db.orm.select().from(wikis).orderBy(asc(wikis.wikiDbName)).all(),
  };
}
