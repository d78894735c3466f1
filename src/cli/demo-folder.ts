import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode, formatBytes, UsageError } from '../lib/index.ts';
import { createNodeDisk } from '../ports/index.ts';
import { counted } from './words.ts';

/** What a sandbox was made of. It cannot change afterwards: the dumps of a date are made once, as upstream does. */
export interface DemoSettings {
  wikis: number;
  sizeBytes: number;
}

/** Of a demo in a new folder, as far as nothing else is asked for. */
export const DEMO_DEFAULTS: DemoSettings = { wikis: 12, sizeBytes: 40_000_000 };

/**
 * Makes `dataDir` ready for a demo and remembers its settings there. What is not asked for is as in the demo it already holds.
 * @param asked what the operator named; null = nothing
 * @throws UsageError when the folder belongs to a real installation, holds a demo of other settings, or cannot be made
 */
export async function prepareDemoFolder(
  dataDir: string,
  asked: { wikis: number | null; sizeBytes: number | null },
): Promise<DemoSettings> {
  const sandboxDir = join(dataDir, 'sandbox');
  const settingsPath = join(sandboxDir, 'settings.json');
  // Demo torrents and wikis in the database of a real archive could never be told apart again.
  if (existsSync(join(dataDir, 'db', 'jobs.db')) && !existsSync(sandboxDir))
    throw new UsageError(
      `${dataDir} is the data directory of a real installation, not of a demo`,
      'Choose another --data-dir.',
    );
  const held = readSettings(settingsPath);
  const wikis = asked.wikis ?? held?.wikis ?? DEMO_DEFAULTS.wikis;
  const sizeBytes = asked.sizeBytes ?? held?.sizeBytes ?? DEMO_DEFAULTS.sizeBytes;
  if (held !== null && (held.wikis !== wikis || held.sizeBytes !== sizeBytes))
    throw new UsageError(
      `${dataDir} holds a demo of ${counted(held.wikis, 'wiki')} and ${formatBytes(held.sizeBytes)}`,
      'Delete it or choose another --data-dir.',
    );
  try {
    await createNodeDisk().makeDirectory(sandboxDir);
    if (held === null) writeFileSync(settingsPath, `${JSON.stringify({ wikis, sizeBytes })}\n`);
  } catch (error) {
    throw new UsageError(
      `the demo cannot keep anything in ${dataDir} (${errorCode(error)})`,
      'Choose another --data-dir: a folder that does not exist yet, or that you may write to.',
    );
  }
  return { wikis, sizeBytes };
}

/** null when there are none, or a crash tore them. */
function readSettings(path: string): DemoSettings | null {
  try {
    const { wikis, sizeBytes } = JSON.parse(readFileSync(path, 'utf8')) as Partial<DemoSettings>;
    return typeof wikis === 'number' && typeof sizeBytes === 'number' ? { wikis, sizeBytes } : null;
  } catch {
    return null;
  }
}
