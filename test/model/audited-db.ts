import Database from 'better-sqlite3';
import { type Db, openMemoryDb } from '../../src/db/index.ts';

/** A row of `jobs` as the auditor sees it. */
export interface Row {
  id: number;
  type: string;
  status: string;
  attempt: number;
  maxAttempts: number;
  priority: number;
  dueAt: number;
  isDue: number;
  owner: string | null;
  seq: number;
  expiresAt: number | null;
  cursor: string | null;
  key: string;
  cycle: string | null;
  parent: number | null;
  completedAt: number | null;
}

/** One row change that was committed, in the order of the statements. */
export type Change =
  | { what: 'insert' | 'update'; row: Row }
  | { what: 'attempt'; jobId: number; outcome: string; code: string | null };

const COLUMNS = [
  'id',
  'job_type',
  'status',
  'attempt',
  'max_attempts',
  'priority',
  'next_retry_at',
  'is_due',
  'lease_owner',
  'lease_seq',
  'lease_expires_at',
  'cursor',
  'unique_key',
  'cycle_date',
  'parent_job_id',
  'completed_at',
];

function rowOf(values: readonly unknown[]): Row {
  const [id, type, status, attempt, maxAttempts, priority, dueAt, isDue, owner, seq] = values;
  const [expiresAt, cursor, key, cycle, parent, completedAt] = values.slice(10);
  const row = { id, type, status, attempt, maxAttempts, priority, dueAt, isDue, owner, seq };
  return { ...row, expiresAt, cursor, key, cycle, parent, completedAt } as Row;
}

/** The real database, with a witness inside: triggers tell every change, and refuse changes while the disk is full. */
export interface AuditedDb {
  readonly db: Db;
  /** The same database for one process: `onCommit` is told what each of its transactions changed. */
  forProcess(onCommit: (changes: Change[]) => void): Db;
  /** Changes by single statements that nobody was told of yet. */
  take(): Change[];
  /** After so many more changes of rows every change fails like on a full disk; null = none does. */
  fillAfter(changes: number | null): void;
  /** How often a change was refused. */
  refused(): number;
  rows(): Row[];
}

/** @param imagePath a migrated, empty database file */
export function openAuditedDb(imagePath: string): AuditedDb {
  const db = openMemoryDb(imagePath);
  const { sqlite } = db;
  /** What the running statement or transaction changed, and what is certain. */
  let changes: Change[] = [];
  let certain: Change[] = [];
  let left: number | null = null;
  let refusals = 0;

  function note(change: Change | null): null {
    if (left !== null && left <= 0) {
      refusals += 1;
      // A statement on its own is undone here; a transaction when it is rolled back.
      if (change !== null && !sqlite.inTransaction) changes = [];
      throw new Database.SqliteError('database or disk is full', 'SQLITE_FULL');
    }
    if (left !== null) left -= 1;
    if (change !== null) changes.push(change);
    else if (!sqlite.inTransaction) certain.push(...changes.splice(0));
    return null;
  }

  sqlite.function('witness', { varargs: true }, (what, ...values) =>
    note({ what: what as 'insert', row: rowOf(values) }),
  );
  sqlite.function('witness_attempt', (jobId, outcome, code) =>
    note({ what: 'attempt', jobId, outcome, code } as Change),
  );
  sqlite.function('witness_other', () => note(null));
  const values = COLUMNS.map((column) => `NEW.${column}`).join(', ');
  const gone = `SELECT RAISE(ABORT, 'a job was deleted')`;
  sqlite.exec(`
    CREATE TEMP TRIGGER w1 AFTER INSERT ON main.jobs BEGIN SELECT witness('insert', ${values}); END;
    CREATE TEMP TRIGGER w2 AFTER UPDATE ON main.jobs BEGIN SELECT witness('update', ${values}); END;
    CREATE TEMP TRIGGER w3 BEFORE DELETE ON main.jobs BEGIN ${gone}; END;
    CREATE TEMP TRIGGER w4 AFTER INSERT ON main.job_attempts BEGIN SELECT witness_attempt(NEW.job_id, NEW.outcome, NEW.error_code); END;
    CREATE TEMP TRIGGER w5 AFTER INSERT ON main.system_state BEGIN SELECT witness_other(); END;
    CREATE TEMP TRIGGER w6 AFTER UPDATE ON main.system_state BEGIN SELECT witness_other(); END;
    CREATE TEMP TRIGGER w7 AFTER DELETE ON main.system_state BEGIN SELECT witness_other(); END;`);
  const all = sqlite.prepare(`SELECT ${COLUMNS.join(', ')} FROM jobs ORDER BY id`).raw();

  const take = (): Change[] => {
    const taken = [...certain, ...changes];
    changes = [];
    certain = [];
    return taken;
  };
  return {
    db,
    take,
    forProcess: (onCommit) => ({
      ...db,
      transaction(work) {
        if (sqlite.inTransaction) return work();
        const before = take();
        if (before.length > 0) onCommit(before);
        let isCommitted = false;
        try {
          // The work itself is what a commit that fails would undo, so the change counts before it is told.
          return db.transaction(() => {
            db.afterCommit(() => {
              isCommitted = true;
              onCommit(take());
            });
            return work();
          });
        } finally {
          if (!isCommitted) changes = [];
        }
      },
    }),
    fillAfter(count) {
      left = count;
    },
    refused: () => refusals,
    rows: () => (all.all() as unknown[][]).map(rowOf),
  };
}
