import { join } from 'node:path';
import { DATABASE_FILES } from '../../db/index.ts';
import { formatBytes } from '../../lib/index.ts';
import type { Disk } from '../../ports/index.ts';
import { type BackupKind, backupPath, backupsFolder, parseBackupName } from './names.ts';
import { readSidecar, type Sidecar } from './sidecar.ts';
import { lookAtFile } from './unreadable.ts';

/** One copy of the database, as its name, its size and its sidecar tell; its bytes were not read. */
export interface BackupEntry {
  name: string;
  /** A file; a folder for a replaced database. */
  path: string;
  kind: BackupKind;
  /** Epoch ms. */
  madeAt: number;
  sizeBytes: number;
  /** `scheduled`, `manual`, …; null when no sidecar says. */
  reason: string | null;
  /** Schema number; null when no sidecar says. */
  schema: number | null;
  databaseBytes: number | null;
  /** verified: it passed every check when it was made, and none has failed since; unproven: nobody has looked. */
  state: 'verified' | 'damaged' | 'unproven';
  /** Epoch ms of the last check it passed. */
  verifiedAt: number | null;
  /** What is wrong with it or its sidecar; null when nothing is known. */
  remark: string | null;
}

/** Every copy of the database there is, newest first. Needs no database and no lock. */
export async function listBackups(disk: Disk, dataDir: string): Promise<BackupEntry[]> {
  const entries: BackupEntry[] = [];
  for (const folder of [backupsFolder(dataDir), join(dataDir, 'db')])
    for (const name of await disk.list(folder)) {
      const parsed = parseBackupName(name);
      if (parsed === null || backupPath(dataDir, parsed.kind, name) !== join(folder, name)) continue;
      const entry = await readEntry(disk, { ...parsed, name, path: join(folder, name) });
      if (entry !== null) entries.push(entry);
    }
  return entries.sort((a, b) => b.madeAt - a.madeAt || (a.name < b.name ? 1 : -1));
}

/** True for what a restore tries by itself; what one once put aside is only taken when it is named. */
export function isRestorable({ kind }: Pick<BackupEntry, 'kind'>): boolean {
  return kind !== 'replaced';
}

/**
 * The order in which they are tried: newest first, but after all others those dated later than `nowMs`. Such a date says that
 * a clock was wrong, or that somebody copied the file, and nothing of its age.
 */
export function bestDatedFirst<T extends Pick<BackupEntry, 'madeAt'>>(
  newestFirst: readonly T[],
  nowMs: number,
): T[] {
  return [
    ...newestFirst.filter(({ madeAt }) => madeAt <= nowMs),
    ...newestFirst.filter(({ madeAt }) => madeAt > nowMs),
  ];
}

/** One of them by name. */
export async function findBackup(disk: Disk, dataDir: string, name: string): Promise<BackupEntry | null> {
  const parsed = parseBackupName(name);
  if (parsed === null) return null;
  return readEntry(disk, { ...parsed, name, path: backupPath(dataDir, parsed.kind, name) });
}

type Named = Pick<BackupEntry, 'name' | 'path' | 'kind' | 'madeAt'>;

async function readEntry(disk: Disk, named: Named): Promise<BackupEntry | null> {
  const size = await sizeOf(disk, named);
  if (size === null) return null;
  const sizeBytes = typeof size === 'string' ? 0 : size;
  const unproven: BackupEntry = {
    ...named,
    sizeBytes,
    reason: named.kind === 'backup' ? null : named.kind,
    schema: null,
    databaseBytes: named.kind === 'backup' ? null : sizeBytes,
    state: 'unproven',
    verifiedAt: null,
    remark: null,
  };
  if (typeof size === 'string') return { ...unproven, databaseBytes: null, state: 'damaged', remark: size };
  if (named.kind !== 'backup') return unproven;
  const sidecar = await readSidecar(disk, named.path);
  if (sidecar === 'missing') return { ...unproven, remark: 'its sidecar is missing' };
  if (sidecar === 'unreadable') return { ...unproven, remark: 'its sidecar cannot be read' };
  const damage = damageOf(sidecar, named.name, sizeBytes);
  return {
    ...unproven,
    reason: sidecar.reason,
    schema: sidecar.schema,
    databaseBytes: sidecar.databaseBytes,
    state: damage === null ? 'verified' : 'damaged',
    verifiedAt: Date.parse(sidecar.verifiedAt),
    remark: damage,
  };
}

function damageOf(sidecar: Sidecar, name: string, sizeBytes: number): string | null {
  if (sidecar.damage !== null) return sidecar.damage.reason;
  if (sidecar.name !== name) return `its sidecar is that of ${sidecar.name}`;
  if (sidecar.sizeBytes !== sizeBytes) return `it has ${sizeBytes} bytes instead of ${sidecar.sizeBytes}`;
  if (sidecar.databaseBytes > mostUnpackedBytes(sizeBytes))
    return `its sidecar says that ${formatBytes(sidecar.databaseBytes)} are in it, which so few bytes cannot hold`;
  return null;
}

/** gzip shrinks nothing to less than a 1,032nd. */
export function mostUnpackedBytes(packedBytes: number): number {
  return packedBytes * 1_100;
}

/** Bytes; null when it is not there; in words why nobody can read it. */
async function sizeOf(disk: Disk, { kind, path }: Named): Promise<number | string | null> {
  if (kind !== 'replaced') {
    const facts = await lookAtFile(disk, path);
    return facts === null || typeof facts === 'string' ? facts : facts.sizeBytes;
  }
  const database = await lookAtFile(disk, join(path, 'jobs.db'));
  if (database === null || typeof database === 'string') return database;
  let sum = 0;
  for (const name of DATABASE_FILES) {
    const facts = await lookAtFile(disk, join(path, name));
    if (typeof facts === 'string') return `${name}: ${facts}`;
    sum += facts?.sizeBytes ?? 0;
  }
  return sum;
}
