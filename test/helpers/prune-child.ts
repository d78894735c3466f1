import { statSync } from 'node:fs';
import { createCatalog } from '../../src/catalog/index.ts';
import { openDb } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import { createNodeDisk, createSystemClock, type FileFacts, silentLog } from '../../src/ports/index.ts';
import { createDirectPlanner, createPruning } from '../../src/pruning/index.ts';
import { createLayout, type PruneUsage } from '../../src/storage/index.ts';

/** Ends what was begun in a data directory, then prunes it: a process of its own, so that it can be killed. */
const [dataDir = '', now = '', usage = '{}'] = process.argv.slice(2);
const layout = createLayout(dataDir);
const db = openDb(layout.database);
const clock = { ...createSystemClock(), now: () => Number(now) };

/** One name, without waiting. */
function stat(path: string): FileFacts | null {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return null;
  const { size, mtimeMs, nlink, ino, blocks } = facts;
  const kinds = { isDirectory: facts.isDirectory(), isFile: facts.isFile() };
  return { sizeBytes: size, allocatedBytes: blocks * 512, mtimeMs, linkCount: nlink, inode: ino, ...kinds };
}

const room = createPruning({
  ...{ db, layout, clock },
  catalog: createCatalog({ db, clock }),
  disk: createNodeDisk(),
  bus: createBus({ log: silentLog }),
  log: silentLog,
  usage: async () => JSON.parse(usage) as PruneUsage,
  stopSeeding: async () => {},
  config: {
    remoteProofMaxAgeMs: 7 * 24 * 60 * 60_000,
    minSeedersBeforePrune: 3,
    seedersMaxAgeMs: 12 * 3_600_000,
    pruneOldestFirst: true,
    uploadsEnabled: false,
  },
  planner: createDirectPlanner({ sqlite: db.sqlite, layout, stat }),
});
await room.start();
const report = await room.prune(new AbortController().signal);
process.stdout.write(JSON.stringify(report));
db.close();
