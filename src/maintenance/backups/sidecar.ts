import { z } from 'zod';
import { type Disk, writeAtomically } from '../../ports/index.ts';
import { sidecarPath } from './names.ts';
import { isUnreadable, lookAtFile } from './unreadable.ts';

/** Why a backup was made. */
export const BackupReason = z.enum(['scheduled', 'manual', 'before_maintenance']);
export type BackupReason = z.infer<typeof BackupReason>;

/** Of ours the largest has some kilobytes. */
const SIDECAR_MAX_BYTES = 1e6;

const Time = z.iso.datetime();

/** The facts beside a backup, JSON. They are for reading and checking; the backup can be restored without them. */
export const Sidecar = z.object({
  format: z.literal(1),
  name: z.string(),
  reason: BackupReason,
  createdAt: Time,
  /** When its database last passed every check. */
  verifiedAt: Time,
  /** Of the packed file. */
  sizeBytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Of the database in it. */
  databaseBytes: z.number().int().nonnegative(),
  /** How many migrations it has. */
  schema: z.number().int().nonnegative(),
  wikiseedVersion: z.string(),
  /** Rows of each table. */
  rows: z.record(z.string(), z.number().int().nonnegative()),
  /** A later look found it damaged. */
  damage: z.object({ foundAt: Time, reason: z.string() }).nullable(),
});
export type Sidecar = z.infer<typeof Sidecar>;

/** `missing`, or `unreadable` for a torn one and for whatever else keeps its text from us: one file must not hide the others. */
export async function readSidecar(disk: Disk, path: string): Promise<Sidecar | 'missing' | 'unreadable'> {
  const facts = await lookAtFile(disk, sidecarPath(path));
  if (facts === null) return 'missing';
  if (typeof facts === 'string' || facts.sizeBytes > SIDECAR_MAX_BYTES) return 'unreadable';
  let text: string | null;
  try {
    text = await disk.readText(sidecarPath(path));
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return 'unreadable';
  }
  if (text === null) return 'missing';
  try {
    return Sidecar.parse(JSON.parse(text));
  } catch {
    return 'unreadable';
  }
}

/** Replaces the sidecar of the backup at `path`. */
export async function writeSidecar(disk: Disk, path: string, sidecar: Sidecar): Promise<void> {
  await writeAtomically(disk, sidecarPath(path), `${JSON.stringify(sidecar, null, 2)}\n`);
  await disk.chmod(sidecarPath(path), 0o600);
}
