import { join } from 'node:path';

/**
 * backup: packed and proved by us; before_migration: what `migrateDb` copied before it changed the schema; replaced: what a
 * restore put aside.
 */
export type BackupKind = 'backup' | 'before_migration' | 'replaced';

const STAMP = String.raw`(\d{4}-\d{2}-\d{2}T\d{2})-(\d{2})-(\d{2})-(\d{3})Z`;
const PATTERNS: readonly [BackupKind, RegExp][] = [
  ['backup', new RegExp(`^jobs-${STAMP}\\.db\\.gz$`)],
  ['before_migration', new RegExp(`^before-migration-\\d+-to-\\d+-${STAMP}\\.db$`)],
  ['replaced', new RegExp(`^replaced-${STAMP}$`)],
];

/** `2026-11-23T02-00-00-123Z`: UTC, sorts by time, safe on every file system. */
export function stampOf(atMs: number): string {
  return new Date(atMs).toISOString().replaceAll(/[:.]/g, '-');
}

/** `jobs-2026-11-23T02-00-00-123Z.db.gz` */
export function backupName(atMs: number): string {
  return `jobs-${stampOf(atMs)}.db.gz`;
}

/** What a name says, or null when it is none of ours. `madeAt` is epoch ms. */
export function parseBackupName(name: string): { kind: BackupKind; madeAt: number } | null {
  for (const [kind, pattern] of PATTERNS) {
    const match = pattern.exec(name);
    if (match === null) continue;
    const madeAt = Date.parse(`${match[1]}:${match[2]}:${match[3]}.${match[4]}Z`);
    return Number.isNaN(madeAt) ? null : { kind, madeAt };
  }
  return null;
}

/** Where backups lie. */
export function backupsFolder(dataDir: string): string {
  return join(dataDir, 'backups');
}

/** A file or, for a replaced database, a folder. */
export function backupPath(dataDir: string, kind: BackupKind, name: string): string {
  return kind === 'replaced' ? join(dataDir, 'db', name) : join(backupsFolder(dataDir), name);
}

/** Facts of a backup stand beside it. */
export function sidecarPath(path: string): string {
  return `${path}.json`;
}
