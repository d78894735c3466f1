// A process of its own that makes or restores a backup; killed at a named step, or run where the disk is too small.
import { subscribe } from 'node:diagnostics_channel';
import { STEPS_CHANNEL } from '../../src/lib/steps.ts';
import { createBackup, restoreBackup } from '../../src/maintenance/index.ts';
import { createNodeDisk, createSystemClock, type Disk } from '../../src/ports/index.ts';

const [, , action, dataDir = '', killAt = '', spaceSays = ''] = process.argv;

subscribe(STEPS_CHANNEL, (message) => {
  if ((message as { name: string }).name === killAt) process.kill(process.pid, 'SIGKILL');
});
const nodeDisk = createNodeDisk();
// A disk that promises more than it has, so that the space runs out while writing.
const disk: Disk =
  spaceSays === 'lie'
    ? { ...nodeDisk, space: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }) }
    : nodeDisk;
const deps = { disk, clock: createSystemClock(), dataDir };
const signal = new AbortController().signal;
let phase = 'none';
const onProgress = (progress: { phase: string }): void => {
  phase = progress.phase;
};
try {
  const result =
    action === 'backup'
      ? await createBackup({ ...deps, version: 'test' }, { reason: 'manual', signal, onProgress })
      : await restoreBackup(deps, { name: null, signal, onProgress });
  process.stdout.write(JSON.stringify({ ok: true, name: result.backup.name }));
} catch (error) {
  process.stdout.write(
    JSON.stringify({ ok: false, phase, ...(error as object), message: (error as Error).message }),
  );
}
