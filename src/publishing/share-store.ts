import { and, eq } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import type { Clock } from '../ports/index.ts';

const { shares } = schema;

/** One row of `shares`. */
export type Share = typeof shares.$inferSelect;
/** Where something was published. */
export type SharePlatform = 'local' | 'r2';

/** What was published where, to know what need not be published again. */
export interface ShareStore {
  share(subject: string, platform: SharePlatform): Share | null;
  /** Inserts or updates; joins a running transaction. Unchanged content keeps its time of upload. */
  recordActive(facts: {
    subject: string;
    platform: SharePlatform;
    platformUrl: string | null;
    contentSha256: string;
    /** False when it was there already. */
    isWritten: boolean;
  }): void;
}

/** All SQL on `shares`. */
export function createShareStore({ db, clock }: { db: Db; clock: Pick<Clock, 'now'> }): ShareStore {
  const share: ShareStore['share'] = (subject, platform) =>
    db.orm
      .select()
      .from(shares)
      .where(and(eq(shares.subject, subject), eq(shares.platform, platform)))
      .get() ?? null;
  return {
    share,
    recordActive({ subject, platform, platformUrl, contentSha256, isWritten }) {
      const now = clock.now();
      const known = share(subject, platform);
      const uploadedAt = isWritten || known?.uploadedAt == null ? now : known.uploadedAt;
      const row = { platformUrl, contentSha256, status: 'active', uploadedAt, lastCheckedAt: now };
      db.orm
        .insert(shares)
        .values({ subject, platform, ...row })
        .onConflictDoUpdate({ target: [shares.subject, shares.platform], set: row })
        .run();
    },
  };
}
