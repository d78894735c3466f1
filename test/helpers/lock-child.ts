/** Takes the lock of a data directory and says how that went, as one JSON object. Use: `node lock-child.ts <dataDir>`. */
import { lockDataDirectory } from '../../src/db/index.ts';

try {
  lockDataDirectory(process.argv[2] as string, {
    pid: process.pid,
    startedAt: '2026-11-23T00:00:00Z',
  }).release();
  process.stdout.write(JSON.stringify({ ok: true }));
} catch (error) {
  const { code, hint, message } = error as { code?: string; hint?: string; message: string };
  process.stdout.write(JSON.stringify({ ok: false, code, hint, message }));
}
