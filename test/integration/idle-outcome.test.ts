import { expect, test } from 'vitest';
import { createCatalog, type RunNotice } from '../../src/catalog/index.ts';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { outcomeOf } from '../../src/cli/idle-outcome.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

const CYCLE = '2026-11-20';

/** A published cycle whose one file is in a torrent; what its runs do not give is told. */
async function outcomeWith(notices: Record<string, RunNotice[]>, status: 'finished' | 'absent' = 'finished') {
  const db = withDb();
  const catalog = createCatalog({ db, clock: new FakeClock() });
  const wiki = { project: 'wikipedia', url: '', name: '', isClosed: false, isPrivate: false };
  catalog.recordWikis(
    ['aa', 'ab'].map((language) => ({
      ...{ ...wiki, language, wikiDbName: `${language}wiki`, isFishbowl: false },
    })),
  );
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: false, deadlineAt: 9e12 });
  for (const [wikiDbName, list] of Object.entries(notices))
    catalog.recordRun({
      ...{ wikiDbName, source: 'classic', cycleDate: CYCLE, runDate: '20261120', status },
      ...{ notices: list, files: [], listedNames: new Set(), document: null },
    });
  db.sqlite
    .prepare(
      `INSERT INTO dumps (wiki_db_name, project, language, source, run_date, cycle_date, dump_type, filename, size_bytes,
         wikimedia_url, wikimedia_status, our_status, verification, sha1, local_path, discovered_at)
       VALUES ('aawiki', 'wikipedia', 'aa', 'classic', '20261120', ?, 'page', 'x', 1, '', 'done', 'included', 'sha1', 'a', 'x', 1)`,
    )
    .run(CYCLE);
  db.sqlite.prepare("UPDATE cycles SET status = 'published', sealed_at = 1, published_at = 2").run();
  const seeding = () => Promise.resolve({ isEnabled: false, torrents: [] } as never);
  return outcomeOf({ catalog, seeding, uploadsEnabled: false }, { halted: [], paused: [] } as never);
}

test('what failed upstream, is incomplete or was refused is a gap, and named', async () => {
  const failed: RunNotice = { dumpType: 'redirect', reason: 'failed upstream', kind: 'failed' };
  expect(await outcomeWith({ aawiki: [failed] })).toEqual({
    exitCode: EXIT.gaps,
    sentence: `Finished with gaps: redirect of aawiki in cycle ${CYCLE} failed upstream.`,
  });
  const others: RunNotice[] = [
    { dumpType: 'page', reason: 'upstream lacks some of its files', kind: 'lacking' },
    { dumpType: 'langlinks', reason: 'refused: the address x is not /y', kind: 'refused' },
  ];
  expect(await outcomeWith({ aawiki: [failed, ...others], abwiki: [failed] })).toEqual({
    exitCode: EXIT.gaps,
    sentence: `Finished with gaps: redirect of 2 wikis in cycle ${CYCLE} failed upstream; page of aawiki in cycle ${CYCLE} incomplete upstream; langlinks of aawiki in cycle ${CYCLE} refused because of its address.`,
  });
});

test('what an earlier version wrote down counts the same', async () => {
  const { exitCode, sentence } = await outcomeWith({
    aawiki: [{ dumpType: 'redirect', reason: 'failed upstream' }],
  });
  expect({ exitCode, sentence }).toEqual({
    exitCode: EXIT.gaps,
    sentence: expect.stringContaining('redirect of aawiki'),
  });
});

test('of many, some are named and the others are counted', async () => {
  const many = Array.from({ length: 9 }, (_, n): RunNotice => {
    return { dumpType: `t${n}`, reason: 'failed upstream', kind: 'failed' };
  });
  const { sentence } = await outcomeWith({ aawiki: many });
  expect(sentence).toContain('t4 of aawiki');
  expect(sentence).not.toContain('t5 of aawiki');
  expect(sentence).toContain(`; 4 more dump types of cycle ${CYCLE} not given by upstream.`);
});

test('what a wiki does not offer, or a run leaves out, is no gap', async () => {
  const notices: RunNotice[] = [
    { dumpType: 'redirect', reason: 'not offered by this wiki', kind: 'not_offered' },
    { dumpType: 'page', reason: 'skipped by upstream in this run', kind: 'skipped' },
    { dumpType: '*', reason: 'small-wiki mode: its size is known when the run is finished' },
  ];
  const whole = { exitCode: EXIT.ok, sentence: 'Finished: 1 cycle published and whole.' };
  expect(await outcomeWith({ aawiki: notices })).toEqual(whole);
  const gone: RunNotice = { dumpType: '*', reason: 'upstream has no such run' };
  expect(await outcomeWith({ aawiki: [gone] }, 'absent')).toEqual(whole);
});
