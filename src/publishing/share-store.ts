import type { Db } from '../db/index.ts';
import type { Clock } from '../ports/index.ts';

/** Where something was published. */
export type SharePlatform = 'local' | 'r2';

/** One thing that is published somewhere. */
export interface ShareFacts {
  /** The infohash of a torrent, or `manifest`. */
  subject: string;
  platform: SharePlatform;
  platformUrl: string | null;
  contentSha256: string;
  /** False when it was there already. */
  isWritten: boolean;
}

/** What was published where, to know what need not be published again. */
export interface ShareStore {
  /** Inserts or updates; joins a running transaction. Unchanged content keeps its time of upload. */
  recordActive(facts: ShareFacts): void;
}

/** All SQL on `shares`. Plain statements: a year of cycles has thousands of torrents, recorded in one transaction. */
export function createShareStore({ db, clock }: { db: Db; clock: Pick<Clock, 'now'> }): ShareStore {
  const record = db.sqlite.prepare<[Omit<ShareFacts, 'isWritten'> & { isWritten: number; now: number }]>(
    `INSERT INTO shares (subject, platform, platform_url, content_sha256, status, uploaded_at, last_checked_at)
     VALUES (@subject, @platform, @platformUrl, @contentSha256, 'active', @now, @now)
     ON CONFLICT (subject, platform) DO UPDATE SET platform_url = excluded.platform_url,
       content_sha256 = excluded.content_sha256, status = excluded.status, last_checked_at = excluded.last_checked_at,
       uploaded_at = iif(@isWritten OR uploaded_at IS NULL, excluded.uploaded_at, uploaded_at)`,
  );
  return {
    recordActive(facts) {
      db.transaction(() => record.run({ ...facts, isWritten: facts.isWritten ? 1 : 0, now: clock.now() }));
    },
  };
}
