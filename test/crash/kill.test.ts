import { describe, expect, test } from 'vitest';
import { calendarOf } from '../../src/app-settings.ts';
import { defaultConfig } from '../../src/config/index.ts';
import type { FaultSpec } from '../../src/sandbox/index.ts';
import { dueCycles } from '../../src/scheduling/index.ts';
import { endStateOf } from '../helpers/kill-end-state.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';
import { startWikiseed, writeConfig } from '../helpers/with-process.ts';

/**
 * Goal: whenever the process dies, starting it again ends in the state an undisturbed run ends in.
 * Method: a fault holds one request open at a known point; when it has fired the process is killed with SIGKILL, the
 * fault is lifted and the process started again. The end states are compared by everything that is not a time or a port. Named points and writes: the
 * files beside this one.
 * Fault budget: one kill for each run. It is survivable because results, facts and follow-ups commit together.
 */
const cycle = dueCycles(calendarOf(defaultConfig()), Date.now(), null)[0];
const cycleDate = cycle?.cycleDate ?? '';
const runDate = cycleDate.replaceAll('-', '');

async function runOnce(fault: FaultSpec | null): Promise<unknown> {
  const sandboxDir = temporaryFolder();
  const sandbox = await withSandbox({ dir: sandboxDir, runDates: [runDate], wikis: 2, sizeBytes: 500_000 });
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
  return endStateOf({ dataDir: options.config.wikiseed.dataDir, sandboxDir, sandbox });
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
  ])('%s end in the same state as no kill at all', { timeout: 600_000 }, async (_when, fault) => {
    undisturbed ??= runOnce(null);
    const expected = await undisturbed;
    const state = await runOnce(fault);
    expect(state).toEqual(expected);
    expect(state).toMatchObject({
      integrity: 'ok',
      foreignKeys: [],
      tables: { cycles: [{ cycle_date: cycleDate, status: 'published' }] },
      // The swarm is counted some minutes after the first torrent is served; nobody waits for that.
      notCompleted: [{ unique_key: 'collect_stats:all', status: 'pending', last_error: null }],
    });
  });
});
