import type { Catalog, DumpFile } from '../../src/catalog/index.ts';
import type { Db } from '../../src/db/index.ts';

/** One run of aawiki with a file in each state that matters to its part file. Returns the ids by name. */
export function runOfEveryState(catalog: Catalog, db: Db): Record<string, DumpFile['id']> {
  catalog.recordWikis([
    {
      ...{ wikiDbName: 'aawiki', project: 'wikipedia', language: 'aa', url: '', name: '' },
      ...{ isClosed: false, isPrivate: false, isFishbowl: false },
    },
  ]);
  catalog.openCycle({ cycleDate: '2026-11-20', includesHistory: false, deadlineAt: 9e15 });
  const names = [
    ...['pending.gz', 'downloading.gz', 'replaced.gz', 'failed-retried.gz'],
    ...['failed.gz', 'quarantined.gz', 'held.gz', 'withdrawn.gz', 'deleted.gz'],
  ];
  catalog.recordRun({
    ...{
      wikiDbName: 'aawiki',
      source: 'classic',
      cycleDate: '2026-11-20',
      runDate: '20261120',
      status: 'finished',
    },
    notices: [],
    files: names.map((filename) => ({
      ...{ dumpType: 'page', filename, isHistory: false, sizeBytes: 1, hashes: { sha1: 'a' } },
      ...{ wikimediaUrl: '', wikimediaStatus: 'done', wikimediaDate: null },
    })),
    listedNames: new Set(names),
    document: null,
  });
  const ids = Object.fromEntries(catalog.dumpFiles('2026-11-20').map(({ filename, id }) => [filename, id]));
  const set = (name: string, status: string): void =>
    void db.sqlite
      .prepare(
        "UPDATE dumps SET our_status = ?, verification = 'sha1', local_path = 'x', sha1 = 'a' WHERE filename = ?",
      )
      .run(status, name);
  set('downloading.gz', 'downloading');
  set('failed-retried.gz', 'failed');
  set('failed.gz', 'failed');
  set('quarantined.gz', 'quarantined');
  for (const name of ['held.gz', 'replaced.gz', 'withdrawn.gz']) set(name, 'included');
  set('deleted.gz', 'deleted');
  const note = db.sqlite.prepare(
    'INSERT INTO dump_replacements (dump_id, kind, size_bytes, found_at) VALUES (?, ?, 1, 0)',
  );
  note.run(ids['replaced.gz'], 'replaced');
  note.run(ids['withdrawn.gz'], 'withdrawn');
  return ids as Record<string, DumpFile['id']>;
}
