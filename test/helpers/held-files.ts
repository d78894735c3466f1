import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { App } from '../../src/app.ts';

/** What upstream has and what we hold, judged by the bytes themselves. */
export function judgeHeldFiles(
  app: Pick<App, 'catalog'>,
  facts: { dataDir: string; upstreamDir: string; cycleDate: string },
): { files: number; wrong: string[] } {
  const files = app.catalog.dumpFiles(facts.cycleDate);
  const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
  const wrong = files.flatMap(({ filename, localPath, wikiDbName, runDate, ourStatus }) => {
    if (localPath === null) return [`${filename} is ${ourStatus}`];
    const ours = digest(join(facts.dataDir, localPath));
    const theirs = digest(join(facts.upstreamDir, wikiDbName, runDate, filename));
    return ours === theirs ? [] : [`${filename} has other bytes than its source`];
  });
  return { files: files.length, wrong };
}
