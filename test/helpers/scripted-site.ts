import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import {
  createFaultList,
  type DumpSite,
  type DumpTreeOptions,
  generateDumpTree,
  type RunScript,
  type StatusDocument,
  startDumpSite,
  type UpstreamScript,
} from '../../src/sandbox/index.ts';

/** Of every request. */
export const AGENT = 'WikiSeed/0.1 (https://example.org; operator@example.org) test/1';
/** The run that every wiki of the tree has. */
export const DATE = '20260101';
const START = Date.parse('2026-01-05T10:00:00Z');

/** A small dump site on disk whose upstream is scripted, for all tests of a file; made before them, stopped after them. */
export function scriptedSite() {
  const faults = createFaultList();
  const root = mkdtempSync(join(tmpdir(), 'wikiseed-upstream-'));
  const tree: DumpTreeOptions = { dir: root, seed: 5, wikis: 4, sizeBytes: 600_000, runDates: [DATE] };
  let site: DumpSite;
  let wikisMade = 0;
  const clock = { nowMs: START };
  beforeAll(async () => {
    await generateDumpTree(tree);
    site = await startDumpSite({ root, faults, now: () => clock.nowMs });
  }, 60_000);
  afterAll(async () => {
    await site.stop();
    rmSync(root, { recursive: true, force: true });
  });
  afterEach(() => faults.clear());

  const ask = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${site.baseUrl}${path}`, { headers: { 'User-Agent': AGENT, ...headers } });
  const text = async (path: string): Promise<string> => (await ask(path)).text();
  return {
    faults,
    root,
    tree,
    /** Upstream's clock. */
    clock,
    upstream: (): UpstreamScript => site.upstream,
    ask,
    text,
    bytes: async (path: string): Promise<Buffer> => Buffer.from(await (await ask(path)).arrayBuffer()),
    index: async (): Promise<Record<string, StatusDocument>> =>
      (JSON.parse(await text('/index.json')) as { wikis: Record<string, StatusDocument> }).wikis,
    statusOf: async (run: RunScript): Promise<StatusDocument> =>
      JSON.parse(await text(`/${run.dbname}/${run.date}/dumpstatus.json`)) as StatusDocument,
    /** A waiting run that no other test touches, of a wiki of its own; by default like that of a small closed one. */
    async freshRun(like = 'aawiki'): Promise<RunScript> {
      wikisMade += 1;
      clock.nowMs = START + wikisMade * 3_600_000;
      const dbname = `t${wikisMade}wiki`;
      return site.upstream.beginRun({ dbname, date: DATE, like: { dbname: like, date: DATE } });
    },
  };
}

/** Lower-case hex. */
export function digest(algorithm: string, data: Buffer): string {
  return createHash(algorithm).update(data).digest('hex');
}
