// How long does a prune plan over 400,000 files and 50 torrents take, what memory does it need, and does anybody wait for it?
import { linkSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type Db, migrateDb, openDb } from '../src/db/index.ts';
import { createThreadPlanner, type PlanOutline } from '../src/pruning/index.ts';
import { createLayout } from '../src/storage/index.ts';
import { figureOf } from './figure.ts';
import type { BenchResult, BenchTools } from './registry.ts';

/*
 * Expected: reading 400,000 rows of 18 columns is 1.5 us a row, 0.6 s; sorting them into sets is a look into a map for each, 0.1 s;
 * 60,000 sets are judged and ordered in 0.1 s; starting the thread and loading its code is 0.3 s. Of the files that would go
 * the disk is asked for each name: 3 us from the cache, and there are 40,000 of them when everything that may go goes. The main
 * thread only receives what goes, in pieces. Memory: some 250 bytes for each file, 100 MB, in the thread and given back.
 */

const CYCLES = 25;
const WIKIS = 1000;
/** Of each run: text in two parts, and 14 tables. */
const FILES = 16;
const ROUNDS = 5;
const NOW = Date.UTC(2026, 10, 21);
const DAY_MS = 86_400_000;
/** Files that are there: those of the first cycles. Others are never looked at, because the plan stops before. */
const CYCLES_ON_DISK = 2;

/** Runs the benchmark. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  const db = fill(folder, note);
  const planner = createThreadPlanner({ databasePath: db.path, dataDir: folder });
  const policy = {
    remoteProofMaxAgeMs: 7 * DAY_MS,
    minSeedersBeforePrune: 3,
    seedersMaxAgeMs: 12 * 3_600_000,
    pruneOldestFirst: true,
    uploadsEnabled: true,
  };
  const times: number[] = [];
  const all: number[] = [];
  const blocks: number[] = [];
  const memory: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const before = process.memoryUsage.rss();
    let peak = before;
    const sampler = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage.rss());
    }, 5);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const started = performance.now();
    // What some percent of the disk are: the files of one cycle.
    const plan = await planner.plan({
      now: NOW,
      policy: { ...policy, neededBytes: WIKIS * FILES * 1_000_000 },
    });
    const took = performance.now() - started;
    delay.disable();
    clearInterval(sampler);
    assertPlan(plan, WIKIS * FILES);
    const nothing = performance.now();
    await planner.plan({ now: NOW, policy: { ...policy, neededBytes: 0 } });
    // The first one fills the caches and is no round.
    if (round === 0) continue;
    times.push(took / 1000);
    all.push((performance.now() - nothing) / 1000);
    blocks.push(delay.max / 1e6);
    memory.push((peak - before) / 1e6);
    note(`round ${round} of ${ROUNDS}: ${(took / 1000).toFixed(2)} s`);
  }
  db.close();
  return {
    figures: [
      figureOf({
        name: `plan over ${(CYCLES * WIKIS * FILES).toLocaleString('en-GB')} files, 50 torrents; 16,000 go`,
        unit: 's',
        better: 'low',
        ours: times,
        target: { of: 'ours', bound: '< 2' },
      }),
      figureOf({ name: 'the same when nothing has to go', unit: 's', better: 'low', ours: all }),
      figureOf({
        name: 'longest block of the event loop meanwhile',
        unit: 'ms',
        better: 'low',
        ours: blocks,
        target: { of: 'worst', bound: '<= 50' },
      }),
      figureOf({ name: 'peak memory of the thread, over rest', unit: 'MB', better: 'low', ours: memory }),
    ],
  };
}

/** A plan that would do nothing, or the wrong thing, is quick as well. */
function assertPlan({ removed, plannedBytes, neededBytes }: PlanOutline, files: number): void {
  const count = removed.reduce((sum, { ids }) => sum + ids.length, 0);
  const isOldest = removed.every(({ cycleDate, rule }) => cycleDate === '2025-01-01' && rule === 'surplus');
  if (count !== files || !isOldest || plannedBytes < neededBytes)
    throw new Error(
      `the plan removes ${count} files of ${new Set(removed.map((set) => set.cycleDate)).size} cycles`,
    );
}

/** 25 cycles of 1,000 wikis, each with a regular and a history torrent; the files of the oldest are there, empty. */
function fill(folder: string, note: BenchTools['note']): Db {
  const layout = createLayout(folder);
  const db = openDb(layout.database);
  migrateDb(db, { dataDir: folder, now: new Date(0) });
  const { sqlite } = db;
  const wiki = sqlite.prepare(
    `INSERT INTO wikis (wiki_db_name, project, language, url, discovered_at, last_seen_at) VALUES (?, 'wikipedia', ?, '', 0, 0)`,
  );
  const cycle = sqlite.prepare(
    `INSERT INTO cycles (cycle_date, status, includes_history, deadline_at, opened_at, sealed_at, published_at) VALUES (?, 'published', 1, 0, 0, 0, 0)`,
  );
  const run = sqlite.prepare(
    `INSERT INTO dump_runs (wiki_db_name, run_date, cycle_date, status, checked_at, finished_at) VALUES (?, ?, ?, 'finished', 0, 0)`,
  );
  const file = sqlite.prepare(
    `INSERT INTO dumps (project, language, wiki_db_name, run_date, cycle_date, dump_type, filename, size_bytes, md5, sha1, sha256,
       verification, wikimedia_url, local_path, our_status, discovered_at, ia_identifier, ia_verified_at)
     VALUES ('wikipedia', ?, ?, ?, ?, ?, ?, 1000000, ?, ?, ?, 'sha1', ?, ?, 'included', 0, ?, ?)`,
  );
  const torrent = sqlite.prepare(
    `INSERT INTO torrents (name, grouping, cycle_date, is_history, info_hash, magnet_link, total_size_bytes, file_count, piece_length,
       piece_count, torrent_file_path, content_path, created_at) VALUES (?, 'cycle', ?, ?, ?, '', 1, 1, 1, 1, '', 'torrents', 0)`,
  );
  const carry = sqlite.prepare(
    'INSERT INTO torrent_files (torrent_id, dump_id, path_in_torrent, size_bytes) VALUES (?, ?, ?, 1000000)',
  );
  note(
    `${(CYCLES * WIKIS * FILES).toLocaleString('en-GB')} rows, ${WIKIS * FILES * CYCLES_ON_DISK} files with two names`,
  );
  const types = [
    'pages-articles',
    'pages-articles',
    ...Array.from({ length: FILES - 2 }, (_, n) => `table_${n}`),
  ];
  for (let n = 0; n < WIKIS; n += 1) wiki.run(`w${n}wiki`, `w${n}`);
  for (let c = 0; c < CYCLES; c += 1) {
    const date = new Date(Date.UTC(2025, c, 1)).toISOString().slice(0, 10);
    const runDate = date.replaceAll('-', '');
    db.transaction(() => {
      cycle.run(date);
      const names = [`wikimedia-dumps-${date}`, `wikimedia-dumps-history-${date}`];
      const ids = names.map((name, index) =>
        Number(torrent.run(name, date, index, `${c}${index}`.padStart(40, '0')).lastInsertRowid),
      );
      for (let n = 0; n < WIKIS; n += 1) {
        const name = `w${n}wiki`;
        run.run(name, runDate, date);
        const onDisk = c < CYCLES_ON_DISK;
        const tree = join(layout.torrents, names[0] as string, 'compressed', name, runDate);
        if (onDisk)
          for (const at of [join(layout.dumps, name, runDate), tree]) mkdirSync(at, { recursive: true });
        for (const [index, type] of types.entries()) {
          const filename = `${name}-${runDate}-${type}${index}.gz`;
          const path = `dumps/${name}/${runDate}/${filename}`;
          const hash = `${c * WIKIS * FILES + n * FILES + index}`.padStart(40, '0');
          const url = `https://dumps.wikimedia.org/${name}/${runDate}/${filename}`;
          const { lastInsertRowid } = file.run(
            ...[`w${n}`, name, runDate, date, type, filename, hash.slice(8), hash, hash, url, path],
            ...[`wikiseed-${name}-${runDate}`, NOW - DAY_MS],
          );
          carry.run(ids[0], lastInsertRowid, `compressed/${name}/${runDate}/${filename}`);
          if (!onDisk) continue;
          // As large as recorded, on no room.
          writeFileSync(join(folder, path), '');
          truncateSync(join(folder, path), 1_000_000);
          linkSync(join(folder, path), join(tree, filename));
        }
      }
    });
  }
  return db;
}
