// Goal: the terminal shows the same state as the page, readable by people and by grep.
import { describe, expect, test } from 'vitest';
import { formatStatus, wantsColor } from '../../src/cli/format-status.ts';
import { showProgressBars } from '../../src/cli/progress-bars.ts';
import { formatTable } from '../../src/cli/table.ts';
import { createBus } from '../../src/events/index.ts';
import { createStatusQueries, readStatus } from '../../src/monitoring/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

function setup() {
  const db = withDb();
  const clock = new FakeClock();
  const queries = createStatusQueries({ db, clock });
  const storage = async () => ({ usedBytes: 1e9, freeBytes: 3e9, totalBytes: 5e9 });
  return {
    db,
    clock,
    queries,
    report: () => readStatus({ queries, clock, storage, version: '1', startedAt: null }),
  };
}

describe('wikiseed status', () => {
  test('an empty database fits one calm screen without colours', async () => {
    const text = formatStatus(await setup().report(), { color: false });
    expect(text).toContain('All is well. 2026-11-21 00:00 UTC');
    expect(text).toContain('None yet');
    expect(text).not.toContain('\u001b');
    expect(text.split('\n').length).toBeLessThan(25);
  });

  test('names from the network cannot steer the terminal', async () => {
    const { db, clock, report } = setup();
    db.sqlite
      .prepare(
        `INSERT INTO jobs (job_type,status,params,unique_key,max_attempts,next_retry_at,created_at,completed_at,last_error,cycle_date)
         VALUES ('find_dumps','failed','{}','k',5,0,0,?,?,'2026-11-20')`,
      )
      .run(clock.now(), 'bad \u001b[2J\u0007 news\u202e');
    const text = formatStatus(await report(), { color: false });
    expect(text).toContain('bad ?[2J? news?');
    expect(formatStatus(await report(), { color: true })).toContain('\u001b[33mWorth a look.\u001b[0m');
  });

  test('colours need a terminal and no NO_COLOR', () => {
    expect(wantsColor({ isTTY: true }, {})).toBe(true);
    expect(wantsColor({ isTTY: true }, { NO_COLOR: '1' })).toBe(false);
    expect(wantsColor({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
    expect(wantsColor({}, {})).toBe(false);
  });
});

describe('tables', () => {
  test('columns line up, numbers to the right, long cells give way', () => {
    const rows = [
      ['a', '1'],
      ['a rather long name', '1,000'],
    ];
    expect(formatTable(rows, { heads: ['name', 'n'], numbers: [1] })).toBe(
      ['name                    n', 'a                       1', 'a rather long name  1,000'].join('\n'),
    );
    expect(formatTable(rows, { width: 20, flexible: [0] })).toBe(
      ['a              1', 'a rather lon…  1,000'].join('\n'),
    );
    expect(formatTable([])).toBe('');
  });
});

describe('progress bars', () => {
  const event = { jobId: 1, jobType: 'download_dump', attempt: 1, dumpId: null, cycleDate: null };
  const progress = {
    ...event,
    doneBytes: 500_000,
    totalBytes: 1_000_000,
    bytesPerSecond: 2e6,
    label: 'a file',
  };

  test('draw nothing when standard error is not a terminal', () => {
    const bus = createBus({ log: silentLog });
    const written: string[] = [];
    const bars = showProgressBars({
      bus,
      queries: setup().queries,
      stream: { write: (text) => written.push(text) },
    });
    bus.emit('job:progress', progress);
    bars.print('a line');
    bars.stop();
    expect(written).toEqual(['a line\n']);
  });

  test('show a running job with bytes and rate, and go away', async () => {
    const bus = createBus({ log: silentLog });
    const written: string[] = [];
    const stream = { isTTY: true, columns: 120, write: (text: string) => written.push(text) };
    const bars = showProgressBars({ bus, queries: setup().queries, stream });
    bus.emit('job:progress', progress);
    await expect.poll(() => written.join('')).toContain('500 kB of 1 MB, 2 MB/s');
    bus.emit('job:completed', { ...event, durationMs: 5 });
    bars.stop();
    bars.stop();
    const text = written.join('');
    expect(text).toContain('download a file');
    bus.emit('job:progress', progress);
    expect(written.join('')).toBe(text);
  });
});
