import { describe, expect, it } from 'vitest';
import {
  type Catalog,
  createCatalog,
  type ExpectedFile,
  LATE_MS,
  type SourceName,
} from '../../src/catalog/index.ts';
import { ofCycle, type WhichTorrent, whichIs } from '../../src/torrenting/index.ts';
import { kindOf } from '../../src/torrenting/selection.ts';
import { torrentName } from '../../src/torrenting/which-torrent.ts';
import { createTorrentsWanted, type TorrentsWantedConfig } from '../../src/torrents-wanted.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/*
 * Goal: a sealed cycle is asked for every torrent that the configuration names and that it has files for, each once.
 * Method: the ledger over a real database; downloads and torrents are told, nothing is on a disk.
 */

const CYCLE = '2026-11-20';
const CONFIG: TorrentsWantedConfig = {
  ...{ groupings: ['cycle', 'wiki_run', 'project', 'language'], wikiRunMinSizeBytes: 1000 },
  historyTypes: ['all-titles'],
};

interface Spec {
  wiki: string;
  name: string;
  sizeBytes: number;
  isHistory?: boolean;
  source?: SourceName;
  runDate?: string;
}

const SPECS: Spec[] = [
  { wiki: 'aawiki', name: 'page.sql.gz', sizeBytes: 400 },
  { wiki: 'aawiki', name: 'all-titles.gz', sizeBytes: 700 },
  { wiki: 'aawiki', name: 'pages-meta-history.7z', sizeBytes: 9000, isHistory: true },
  { wiki: 'bbwiktionary', name: 'page.sql.gz', sizeBytes: 999 },
  {
    wiki: 'bbwiktionary',
    name: 'export.xml.bz2',
    sizeBytes: 5000,
    source: 'content_current',
    runDate: '2026-11-01',
  },
];

function setup(config: Partial<TorrentsWantedConfig> = {}) {
  const db = withDb(temporaryFolder());
  const clock = new FakeClock('2026-11-22T00:00:00Z');
  const catalog: Catalog = createCatalog({ db, clock });
  const wiki = { url: '', name: '', isClosed: false, isPrivate: false, isFishbowl: false };
  catalog.recordWikis([
    { ...wiki, wikiDbName: 'aawiki', project: 'wikipedia', language: 'aa' },
    { ...wiki, wikiDbName: 'bbwiktionary', project: 'wiktionary', language: 'bb' },
  ]);
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: true, deadlineAt: clock.now() + 9e9 });
  const runs = new Map<string, Spec[]>();
  const look = (spec: Spec): void => {
    const { wiki: wikiDbName, source = 'classic', runDate = '20261120' } = spec;
    const key = `${wikiDbName} ${source}`;
    const specs = [...(runs.get(key) ?? []), spec];
    runs.set(key, specs);
    catalog.recordRun({
      ...{ wikiDbName, source, runDate, cycleDate: CYCLE, status: 'finished', notices: [], document: null },
      listedNames: null,
      files: specs.map(
        ({ name, sizeBytes, isHistory = false }): ExpectedFile => ({
          ...{ dumpType: name.split('.')[0]!, filename: `${wikiDbName}-${name}`, isHistory, sizeBytes },
          ...{
            hashes: { sha1: 'a'.repeat(40) },
            wikimediaUrl: '',
            wikimediaStatus: 'done',
            wikimediaDate: null,
          },
        }),
      ),
    });
  };
  const idOf = ({ wiki: of, name }: Spec) =>
    catalog.dumpFiles(CYCLE).find(({ filename }) => filename === `${of}-${name}`)!.id;
  const hold = (spec: Spec): void => {
    const id = idOf(spec);
    catalog.markDownloading(id);
    catalog.recordDownloaded(id, {
      ...{ md5: 'd'.repeat(32), sha1: 'a'.repeat(40), sha256: 'e'.repeat(64), sizeBytes: spec.sizeBytes },
      ...{ verification: 'sha1', fetchedFromUrl: '', pieceHashes: null },
      localPath: `dumps/${spec.wiki}/x/${spec.name}`,
    });
  };
  let made = 0;
  const record = (which: WhichTorrent, carried: readonly Spec[], gaps: readonly Spec[] = []): void => {
    made += 1;
    catalog.recordTorrent({
      ...{ name: torrentName(which), ...kindOf(which), cycleDate: CYCLE },
      ...{ supplement: which.supplement, part: which.part, payloadVersion: '1.1' },
      ...{ infoHash: made.toString(16).padStart(40, '0'), magnetLink: '', totalSizeBytes: 1, fileCount: 1 },
      ...{ pieceLength: 1, pieceCount: 1, torrentFilePath: '', contentPath: '', trackers: [], webseeds: [] },
      files: carried.map((spec) => ({
        ...{ dumpId: idOf(spec), pathInTorrent: spec.name, sizeBytes: spec.sizeBytes, verification: 'sha1' },
      })),
      gaps: gaps.map((spec) => ({
        ...{ wikiDbName: spec.wiki, source: 'classic', runDate: '20261120', dumpType: 'x', sizeBytes: 1 },
        ...{ filename: `${spec.wiki}-${spec.name}`, state: 'missing', reason: 'late' },
      })),
    });
  };
  for (const spec of SPECS) {
    look(spec);
    hold(spec);
  }
  catalog.markScanned(CYCLE);
  catalog.sealIfSettled(CYCLE, { force: true });
  const wanted = createTorrentsWanted({
    ...{ catalog, queue: { hasUnfinished: () => false }, config: { ...CONFIG, ...config } },
  });
  const names = (requests: readonly { input: unknown }[]): string[] =>
    requests.map(({ input }) => torrentName(input as WhichTorrent));
  return {
    ...{ catalog, clock, look, hold, record, idOf, wanted },
    missing: () => names(wanted.missing(CYCLE)),
    supplements: () => names(wanted.supplements(CYCLE)),
  };
}

const HISTORY = ofCycle(CYCLE, { variant: 'history' });
const AA_RUN = ofCycle(CYCLE, {
  ...{ grouping: 'wiki_run', scope: 'aawiki', source: 'classic', runDate: '20261120' },
});

describe('a sealed cycle', () => {
  it('is asked for every grouping, what holds all first, and of the runs the small ones first', () => {
    const { wanted, missing } = setup();
    expect(missing()).toEqual([
      ...['wikimedia-dumps-2026-11-20', 'wikimedia-dumps-history-2026-11-20'],
      // bbwiktionary has a run of 999 bytes and one of 5000.
      ...['aawiki-20261120', 'bbwiktionary-content-current-2026-11-01', 'aawiki-history-20261120'],
      ...['wikimedia-dumps-project-wikipedia-2026-11-20', 'wikimedia-dumps-project-wiktionary-2026-11-20'],
      'wikimedia-dumps-project-wikipedia-history-2026-11-20',
      ...['wikimedia-dumps-language-aa-2026-11-20', 'wikimedia-dumps-language-bb-2026-11-20'],
      'wikimedia-dumps-language-aa-history-2026-11-20',
    ]);
    const priorities = wanted.missing(CYCLE).map(({ priority }) => priority);
    expect(priorities).toEqual([100, 101, 103, 103, 104, 102, 102, 103, 102, 102, 103]);
    expect(setup({ groupings: ['wiki_run'] }).missing()).toHaveLength(3);
    expect(setup({ groupings: ['cycle'] }).missing()).toHaveLength(2);
  });

  it('is not asked again for what it has, nor for a run of which something is damaged or was deleted', () => {
    const { catalog, record, idOf, missing } = setup({ groupings: ['cycle', 'wiki_run'] });
    record(ofCycle(CYCLE), SPECS.slice(0, 2));
    record(AA_RUN, SPECS.slice(0, 2));
    expect(missing()).toEqual([
      ...['wikimedia-dumps-history-2026-11-20', 'bbwiktionary-content-current-2026-11-01'],
      'aawiki-history-20261120',
    ]);
    catalog.recordDamaged(idOf(SPECS[4]!), { sha1: 'a'.repeat(40) });
    catalog.beginDeletions([{ dumpId: idOf(SPECS[2]!), reason: 'room', evidence: {} }]);
    expect(missing()).toEqual([]);
  });

  it('does not take a file for carried or late because of the torrent of its run', () => {
    const { catalog, record, look, hold, supplements } = setup();
    record(ofCycle(CYCLE), [SPECS[0]!, SPECS[1]!, SPECS[3]!, SPECS[4]!]);
    record(HISTORY, [SPECS[1]!, SPECS[2]!]);
    expect(supplements()).toEqual([]);
    const late = { wiki: 'aawiki', name: 'redirect.sql.gz', sizeBytes: 10 };
    look(late);
    hold(late);
    record(AA_RUN, [...SPECS.slice(0, 2), late]);
    expect(supplements()).toEqual(['wikimedia-dumps-2026-11-20-supplement-1']);
    expect(catalog.carriedFiles(CYCLE, kindOf(ofCycle(CYCLE))).size).toBe(4);
    expect(catalog.carriedFiles(CYCLE, kindOf(AA_RUN)).size).toBe(3);
    // A run has no supplement; a project has, once it has a torrent.
    record(ofCycle(CYCLE, { grouping: 'project', scope: 'wikipedia' }), SPECS.slice(0, 2));
    record(ofCycle(CYCLE, { grouping: 'project', scope: 'wiktionary' }), SPECS.slice(3, 5));
    expect(supplements()).toEqual([
      'wikimedia-dumps-2026-11-20-supplement-1',
      'wikimedia-dumps-project-wikipedia-2026-11-20-supplement-1',
    ]);
  });

  it('is asked for the next part while files are in none, and for supplements only then', () => {
    const { catalog, clock, record, look, hold, missing, supplements } = setup({ groupings: ['cycle'] });
    record(HISTORY, [SPECS[1]!, SPECS[2]!]);
    record(ofCycle(CYCLE, { part: 1 }), [SPECS[0]!]);
    expect(missing()).toEqual(['wikimedia-dumps-2026-11-20-part-2']);
    expect(supplements()).toEqual([]);
    record(ofCycle(CYCLE, { part: 2 }), [SPECS[1]!]);
    expect(missing()).toEqual(['wikimedia-dumps-2026-11-20-part-3']);
    // What a part tells as missing is not awaited by a further part.
    record(ofCycle(CYCLE, { part: 3 }), [SPECS[4]!], [SPECS[3]!]);
    expect(missing()).toEqual([]);
    expect(supplements()).toEqual(['wikimedia-dumps-2026-11-20-supplement-1']);
    record(ofCycle(CYCLE, { supplement: 1 }), [SPECS[3]!]);
    // Found only after the parts were made: something for a supplement.
    clock.advance(1000);
    const late = { wiki: 'aawiki', name: 'redirect.sql.gz', sizeBytes: 10 };
    look(late);
    hold(late);
    expect(missing()).toEqual([]);
    expect(supplements()).toEqual(['wikimedia-dumps-2026-11-20-supplement-2']);
    expect(catalog.torrentsOfCycle(CYCLE).map(whichIs)).toContainEqual(ofCycle(CYCLE, { part: 3 }));
    clock.advance(LATE_MS);
    expect(missing()).toEqual([]);
  });
});
