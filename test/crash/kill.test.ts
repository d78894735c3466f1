import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { calendarOf } from '../../src/app.ts';
import { defaultConfig } from '../../src/config/index.ts';
import { openDb } from '../../src/db/index.ts';
import type { FaultSpec, Sandbox } from '../../src/sandbox/index.ts';
import { dueCycles } from '../../src/scheduling/index.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { startWikiseed, writeConfig } from '../helpers/with-process.ts';

/**
 * Goal: whenever the process dies, starting it again ends in the state an undisturbed run ends in.
 * Method: a fault holds one request open at a known point; when it has fired the process is killed with SIGKILL, the
 * fault is lifted and the process started again. The end states are compared by everything that is not a time or a port.
 * Fault budget: one kill for each run. It is survivable because results, facts and follow-ups commit together.
 */
const cycle = dueCycles(calendarOf(defaultConfig()), Date.now(), null)[0];
const cycleDate = cycle?.cycleDate ?? '';
const runDate = cycleDate.replaceAll('-', '');

/** What is left at the end, without times, ports and row ids. */
function endState(dataDir: string, sandbox: Sandbox): unknown {
  const db = openDb(join(dataDir, 'db', 'jobs.db'), 'readonly');
  try {
    const all = (sql: string): unknown[] => db.sqlite.prepare(sql).all();
    const manifest = readFileSync(join(dataDir, 'publish', 'manifest.json'), 'utf8');
    return {
      integrity: db.sqlite.pragma('integrity_check', { simple: true }),
      foreignKeys: db.sqlite.pragma('foreign_key_check'),
      cycles: all('SELECT cycle_date, status FROM cycles'),
      files: all(
        `SELECT filename, our_status, sha1, sha256, verification, ia_verified_at IS NOT NULL AS filed FROM dumps ORDER BY filename`,
      ),
      torrents: all('SELECT name, info_hash, file_count, total_size_bytes FROM torrents ORDER BY name'),
      unfinished: all(`SELECT unique_key FROM jobs WHERE status IN ('pending', 'in_progress')`),
      failed: all(`SELECT unique_key FROM jobs WHERE status = 'failed'`),
      manifest: manifest
        .replaceAll(/127\.0\.0\.1(:|%3A)\d+/g, 'host')
        .replaceAll(/"last_updated": "[^"]+"/g, ''),
      archived: sandbox.counters().archive.files,
      objects: sandbox.counters().r2.objects,
    };
  } finally {
    db.close();
  }
}

async function runOnce(fault: FaultSpec | null): Promise<{ state: unknown; sandbox: Sandbox }> {
  const sandbox = await withSandbox({ runDates: [runDate], wikis: 4 });
  const options = sandboxConfig(sandbox);
  const { path, env } = writeConfig(options);
  const start = () => startWikiseed(['run', '--until-idle', '--config', path], { env });
  if (fault !== null) {
    const armed = sandbox.faults.add(fault);
    const first = start();
    await Promise.race([
      armed.whenFired(),
      first.ended.then((e) => {
        throw new Error(
          `the process ended before the fault fired: ${e.code} ${e.stderr} ${e.stdout.slice(-2000)}`,
        );
      }),
    ]);
    first.child.kill('SIGKILL');
    expect((await first.ended).code).toBeNull();
    expect(armed.fired).toBe(1);
    armed.release();
    armed.remove();
  }
  const last = await start().ended;
  expect(last.code, last.stderr + last.stdout.slice(-2000)).toBe(0);
  return { state: endState(options.config.wikiseed.dataDir, sandbox), sandbox };
}

let undisturbed: Promise<unknown> | undefined;

describe('SIGKILL and a second start', () => {
  test.each<[string, FaultSpec]>([
    [
      'in the middle of a download',
      { server: 'dumps', match: /pages-articles\.xml\.bz2$/, kind: 'stall', atByte: 5000 },
    ],
    ['in the middle of an upload', { server: 'ia', match: /^PUT /, kind: 'stall', after: 5 }],
    ['between torrent and publication', { server: 'r2', match: /^PUT .*\.torrent/, kind: 'stall' }],
  ])('%s end in the same state as no kill at all', async (_when, fault) => {
    undisturbed ??= runOnce(null).then(({ state }) => state);
    const expected = await undisturbed;
    const killed = await runOnce(fault);
    expect(killed.state).toEqual(expected);
    expect(killed.state).toMatchObject({
      integrity: 'ok',
      foreignKeys: [],
      cycles: [{ cycle_date: cycleDate, status: 'published' }],
      unfinished: [],
      failed: [],
    });
  });
});
