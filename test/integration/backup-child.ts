// A process of its own that makes a backup, restores one or rehearses that; killed at a named step, or run where the disk is too small.
import { subscribe } from 'node:diagnostics_channel';
import { STEPS_CHANNEL } from '../../src/lib/steps.ts';
import { createBackup, rehearseRestoreNow, restoreBackup } from '../../src/maintenance/index.ts';
import { createNodeDisk, createSystemClock, type Disk } from '../../src/ports/index.ts';

const [, , action, dataDir = '', killAt = '', spaceSays = ''] = process.argv;

let phase = 'none';
subscribe(STEPS_CHANNEL, (message) => {
  const { name } = message as { name: string };
  if (name === killAt) process.kill(process.pid, 'SIGKILL');
  // Packing tells its progress only after the first 4 MiB, migrating none.
  if (name === 'backup:copied') phase = 'pack';
  if (name === 'rehearsal:restored') phase = 'migrate';
});
const nodeDisk = createNodeDisk();
// A disk that promises more than it has, so that the space runs out while writing.
const disk: Disk =
  spaceSays === 'lie'
    ? { ...nodeDisk, space: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }) }
    : nodeDisk;
const deps = { disk, clock: createSystemClock(), dataDir };
const signal = new AbortController().signal;
const onProgress = (progress: { phase: string }): void => {
  phase = progress.phase;
};
try {
  const result =
    action === 'backup'
      ? await createBackup(
          { ...deps, version: 'test', configPath: null },
          { reason: 'manual', signal, onProgress },
        )
      : action === 'rehearse'
        ? await rehearseRestoreNow(deps, { signal, onProgress })
        : await restoreBackup(deps, { name: null, signal, onProgress });
  process.stdout.write(JSON.stringify({ ok: true, name: result.backup?.name ?? null }));
} catch (error) {
  process.stdout.write(
    JSON.stringify({ ok: false, phase, ...(error as object), message: (error as Error).message }),
  );
}
