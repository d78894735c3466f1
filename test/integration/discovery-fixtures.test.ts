import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { defaultConfig } from '../../src/config/index.ts';
import {
  isRunFinished,
  parseDumpStatus,
  parseIndex,
  readEntry,
  runDateOfStatus,
} from '../../src/discovery/dump-status.ts';
import { type Selection, selectFiles } from '../../src/discovery/select-files.ts';
import { parseSiteMatrix } from '../../src/discovery/site-matrix.ts';
import { parseRunDates } from '../../src/discovery/upstream.ts';
import { fixtures } from '../helpers/needs.ts';

const folder = fixtures();
const read = (path: string): string => readFileSync(join(folder ?? '', path), 'utf8');
const { dumps } = defaultConfig();
const selection: Selection = { ...dumps, includesHistory: true };

describe.skipIf(folder === null)('real documents', () => {
  test('both format versions of the site matrix give the same 996 wikis, private ones marked', () => {
    const one = parseSiteMatrix(read('_api/sitematrix.json'));
    const two = parseSiteMatrix(read('_api/sitematrix.formatversion2.json'));
    expect(one.wikis).toEqual(two.wikis);
    expect(one.refused).toEqual([]);
    expect(one.wikis).toHaveLength(996);
    expect(one.wikis.filter((w) => w.isPrivate)).toHaveLength(38);
    expect(one.wikis.filter((w) => w.isClosed)).toHaveLength(133);
    expect(one.wikis.find((w) => w.wikiDbName === 'be_x_oldwiki')).toMatchObject({
      project: 'wikipedia',
      language: 'be-x-old',
    });
    expect(one.wikis.find((w) => w.wikiDbName === 'commonswiki')).toMatchObject({ project: 'commons' });
  });

  test('a real run of the largest wiki: 48 jobs, whole files, 7z history only', () => {
    const status = parseDumpStatus(read('enwiki/20240801/dumpstatus.json'), 'enwiki');
    expect(Object.keys(status.jobs)).toHaveLength(48);
    expect(isRunFinished(status)).toBe(true);
    expect(runDateOfStatus(status, 'enwiki')).toBe('20240801');
    const run = { wikiDbName: 'enwiki', runDate: '20240801', baseUrl: 'https://dumps.wikimedia.org' };
    const { files, notices, refused } = selectFiles(status, run, selection);
    expect(refused).toEqual([]);
    const count = (dumpType: string): number => files.filter((f) => f.dumpType === dumpType).length;
    expect(count('pages-articles')).toBe(1);
    expect(count('stub-articles')).toBe(1);
    const history = files.filter((f) => f.dumpType === 'pages-meta-history');
    expect(history).toHaveLength(870);
    expect(history.every((f) => f.filename.endsWith('.7z') && f.isHistory)).toBe(true);
    expect(files.reduce((sum, f) => sum + f.sizeBytes, 0)).toBeGreaterThan(2 ** 38);
    expect(notices).toEqual([]);
  });

  test.each([
    ['waiting', 0],
    ['in-progress', 1],
    ['failed', 1],
    ['partial-complete', 1],
    ['missing-file-and-no-files-key', 1],
  ])('a run that is %s gives only what is ready', (state, least) => {
    const status = parseDumpStatus(read(`_states/aawiki-20260120-${state}.dumpstatus.json`), state);
    const run = { wikiDbName: 'aawiki', runDate: '20260120', baseUrl: 'https://dumps.wikimedia.org' };
    const { files } = selectFiles(status, run, selection);
    expect(files.length).toBeGreaterThanOrEqual(least);
    if (least === 0) expect(files).toEqual([]);
    for (const file of files) expect(file.wikimediaStatus).toBe('done');
  });

  test('a wiki that is an empty object in index.json is left for a single request', () => {
    const index = parseIndex(read('index.json'));
    const readable = [...index].filter(([, entry]) => readEntry(entry) !== null).map(([wiki]) => wiki);
    expect(readable.sort()).toEqual(['aawiki', 'enwikivoyage']);
    expect(index.size).toBe(3);
  });

  test('dates are read from real listings, anything else in them is not', () => {
    for (const listing of ['enwiki', 'wikidatawiki'])
      expect(parseRunDates(read(`_listings/${listing}.autoindex.html`)).every((d) => /^\d{8}$/.test(d))).toBe(
        true,
      );
    expect(parseRunDates(read('_listings/enwiki.autoindex.html')).length).toBeGreaterThan(0);
    expect(parseRunDates(read('_listings/enwiki-empty.autoindex.html'))).toEqual([]);
  });

  test('every cut through a status document is torn, never half read', () => {
    const text = read('aawiki/20260101/dumpstatus.json');
    const whole = JSON.parse(text);
    for (let cut = 0; cut < text.trimEnd().length; cut += 97)
      expect(() => parseDumpStatus(text.slice(0, cut), 'cut'), String(cut)).toThrow(
        /not a complete dump status/,
      );
    expect(parseDumpStatus(text, 'whole').jobs).toEqual(whole.jobs);
  });
});
