import { readFileSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DumpFile, TorrentFacts } from '../../src/catalog/index.ts';
import { createTorrent, ofCycle } from '../../src/torrenting/index.ts';
import {
  AA,
  ALL,
  BROKEN_UPSTREAM,
  CYCLE,
  EMPTY,
  EXPORT,
  GONE,
  HISTORY,
  NEWS,
  setup,
  tree,
} from '../helpers/torrenting-bundle.ts';

/*
 * Goal: a recorded torrent is made again byte for byte, whatever was learnt since; what settles later gets a supplement.
 * Method: real files in temporary data directories, the real job handler, a catalog in memory that is changed on purpose.
 */

type Operator = ReturnType<typeof setup>;

const LATE = {
  ...GONE,
  name: 'aawiki-20261120-iwlinks.sql.gz',
  dumpType: 'iwlinks',
  ourStatus: 'pending',
} as const;
const MAIN = `wikimedia-dumps-${CYCLE}`;
const FIRST = `${MAIN}-supplement-1`;
const SECOND = `${MAIN}-supplement-2`;
const pathOf = (spec: { language: string; project: string; name: string }): string =>
  `compressed/${spec.language}/${spec.project}/${spec.name}`;

/** Every file of a torrent's folder with its bytes. */
function contentOf(operator: Operator, name: string): Record<string, string> {
  const root = join(operator.layout.torrents, name);
  return Object.fromEntries(
    tree(root).map((path) => [path, readFileSync(join(root, path)).toString('base64')]),
  );
}

function loseFolder(operator: Operator, name: string): void {
  rmSync(join(operator.layout.torrents, name), { recursive: true });
  rmSync(join(operator.layout.torrents, `${name}.torrent`));
}

function status(operator: Operator, name: string) {
  const text = (file: string): string => readFileSync(join(operator.layout.torrents, name, file), 'utf8');
  return { json: JSON.parse(text('STATUS.json')), text: text('STATUS.txt'), readme: text('README.txt') };
}

/** Everything that can change after a torrent was made. */
function changeTheWorld(operator: Operator): void {
  const { rows, runs, replacements } = operator;
  for (const run of runs)
    Object.assign(run, {
      status: run.status === 'absent' ? 'finished' : 'absent',
      notices: JSON.stringify([{ dumpType: 'page', reason: 'another reason' }]),
    });
  runs.push({ ...runs[0]!, id: 99, wikiDbName: 'newwiki' });
  for (const row of rows) {
    if (row.ourStatus === 'failed')
      Object.assign(row, { errorMessage: 'told otherwise', wikimediaStatus: 'waiting' });
    // A hash that was published later proves the file anew; the archive has it by now.
    else Object.assign(row, { verification: 'md5', ourStatus: 'included', iaUrl: 'x', upstreamMd5: row.md5 });
  }
  for (const { id } of rows) replacements.set(id, { kind: 'replaced', sizeBytes: 1, hashes: { sha1: 'f' } });
}

describe('a recorded torrent', () => {
  it.each([
    0, 1,
  ])('is made again byte for byte whatever changed since (supplement %i)', async (supplement) => {
    const operator = setup({ specs: [...ALL, LATE, { ...LATE, name: 'aawiki-20261120-langlinks.sql.gz' }] });
    operator.rowOf(AA).verification = 'structure-only';
    await operator.makeAndRecord();
    if (supplement === 1) {
      operator.settle(LATE);
      operator.rowOf(LATE).verification = 'structure-only';
    }
    const first = await operator.makeAndRecord({ supplement });
    const name = supplement === 0 ? MAIN : FIRST;
    const before = contentOf(operator, name);
    expect(Buffer.from(before['HASH.txt'] ?? '', 'base64').toString()).toContain('Unverified upstream');
    operator.settle(LATE);
    operator.settle({ ...LATE, name: 'aawiki-20261120-langlinks.sql.gz' });
    operator.settle(GONE);
    changeTheWorld(operator);
    loseFolder(operator, name);
    const again = await operator.makeAndRecord({ supplement });
    expect(again).toEqual(first);
    expect(contentOf(operator, name)).toEqual(before);
    // And once more, from what was recorded the second time.
    loseFolder(operator, name);
    expect((await operator.make({ supplement })).infoHash).toBe(first.infoHash);
  });

  it('keeps its piece length when the setting changes', async () => {
    const operator = setup({ pieceLengthBytes: 2 ** 20 });
    const first = await operator.make();
    const other = setup({ recorded: () => [{ ...first, pieceLength: 2 ** 16 } as TorrentFacts] });
    await expect(other.make()).rejects.toMatchObject({ code: 'torrent_is_final' });
    const same = setup({ pieceLengthBytes: 2 ** 14, recorded: () => [first as TorrentFacts] });
    expect((await same.make()).infoHash).toBe(first.infoHash);
  });

  it('waits for a file of its own that somebody sent back, and ends when that cannot be had any more', async () => {
    const operator = setup();
    const first = await operator.makeAndRecord();
    const row = operator.rowOf(AA);
    unlinkSync(operator.layout.absolute(row.localPath!));
    loseFolder(operator, MAIN);
    Object.assign(row, { ourStatus: 'pending', localPath: null, verification: null, sha1: null });
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    row.ourStatus = 'failed';
    await expect(operator.make()).rejects.toMatchObject({
      name: 'PermanentError',
      code: 'torrent_incomplete',
    });
    operator.fetchAgain(AA);
    expect((await operator.make()).infoHash).toBe(first.infoHash);
  });

  it('of payload 1.0 is made again as the version of that day made it, also after late files settled', async () => {
    // Golden: the infohashes that version 1.0 of the payload gave for these files.
    const specs = ALL.map((spec) =>
      spec === EXPORT ? ({ ...EXPORT, dumpType: 'content_current', verification: 'sha1' } as const) : spec,
    );
    const before =
      (variant: 'regular' | 'history', infoHash: string, names: string[]) =>
      (rows: readonly DumpFile[]): TorrentFacts[] => [
        {
          name: variant === 'history' ? `wikimedia-dumps-history-${CYCLE}` : MAIN,
          ...{ grouping: 'cycle', cycleDate: CYCLE, isHistory: variant === 'history', supplement: 0 },
          ...{ payloadVersion: '1.0', infoHash, pieceLength: 262_144, gaps: [] },
          files: rows
            .filter(({ filename }) => names.includes(filename))
            .map((row) => ({
              dumpId: row.id,
              pathInTorrent: 'any',
              sizeBytes: row.sizeBytes,
              verification: null,
            })),
        } as unknown as TorrentFacts,
      ];
    const held = [EXPORT, AA, EMPTY, NEWS].map(({ name }) => name);
    const make = async (
      variant: 'regular' | 'history',
      infoHash: string,
      names: string[],
      extra: typeof ALL = [],
    ) => {
      const operator = setup({ specs: [...specs, ...extra], recorded: before(variant, infoHash, names) });
      // Missing in that torrent, held by now.
      operator.settle(GONE);
      return operator.make({ variant });
    };
    for (const [variant, infoHash, names] of [
      ['regular', '8295aa796ec505674a5cd37ddcdc3547c6228798', held],
      ['history', 'd87f2e59bb4e40ee9956ac42cda754b7d2ced156', [HISTORY.name, NEWS.name]],
    ] as const)
      expect(await make(variant, infoHash, [...names])).toMatchObject({ infoHash, payloadVersion: '1.0' });
    const infoHash = 'd381e907374f60e56042a473843623d2bcc740b9';
    const leftOut = { ...GONE, language: 'AA', name: 'other.gz', ourStatus: 'downloaded' } as const;
    const quarantined = { ...GONE, name: 'aawiki-20261120-b.gz', ourStatus: 'quarantined' } as const;
    expect(await make('regular', infoHash, held, [leftOut, quarantined])).toMatchObject({ infoHash });
    await expect(make('regular', 'a'.repeat(40), held)).rejects.toMatchObject({ code: 'torrent_is_final' });
  });
});

describe('a supplement', () => {
  it('carries what no earlier torrent of its kind does, and says what it supplements and what is missing', async () => {
    const operator = setup({ specs: [...ALL, LATE] });
    await operator.makeAndRecord();
    operator.settle(LATE);
    const first = await operator.makeAndRecord({ supplement: 1 });
    expect(first).toMatchObject({ name: FIRST, supplement: 1, isHistory: false });
    expect(first.files.map((file) => file.pathInTorrent)).toEqual([pathOf(LATE)]);
    expect(tree(join(operator.layout.torrents, FIRST))).toEqual(
      expect.arrayContaining(['HASH.txt', 'LICENSE.txt', 'README.txt', 'STATUS.json', pathOf(LATE)]),
    );
    const { json, text, readme } = status(operator, FIRST);
    expect(json).toMatchObject({ supplement: 1, supplements: [MAIN], summary: { included: 1, missing: 1 } });
    expect(text).toContain(`This torrent supplements:\n${MAIN}\n`);
    expect(text).toContain(`missing          aawiki ${GONE.name}: `);
    expect(text).not.toContain(AA.name);
    expect(readme).toMatch(
      /It goes with the torrent wikimedia-dumps-2026-11-20:[\s\S]*of no use for the files/,
    );
    expect(readme).not.toContain('Earlier supplements');

    operator.settle(GONE);
    const second = await operator.makeAndRecord({ supplement: 2 });
    expect(second.files.map((file) => file.pathInTorrent)).toEqual([pathOf(GONE)]);
    expect(status(operator, SECOND).json).toMatchObject({
      supplements: [MAIN, FIRST],
      summary: { missing: 0 },
    });
    expect(status(operator, SECOND).readme).toContain(`Earlier supplements:\n  ${FIRST}\n`);
    await expect(operator.make({ supplement: 3 })).rejects.toMatchObject({ code: 'torrent_empty' });
  });

  it('of the history carries only history, under a name of its own', async () => {
    const late = {
      ...HISTORY,
      name: 'aawiki-20261120-pages-meta-history2.xml.7z',
      ourStatus: 'failed',
    } as const;
    const operator = setup({ specs: [...ALL, late] });
    await operator.makeAndRecord({ variant: 'history' });
    operator.settle(late);
    const output = await operator.make({ variant: 'history', supplement: 1 });
    expect(output.name).toBe(`wikimedia-dumps-history-${CYCLE}-supplement-1`);
    expect(output.files.map((file) => file.pathInTorrent)).toEqual([pathOf(late)]);
  });

  it('names its job and its torrent by its number, and asks the input of earlier versions for none', () => {
    const input = createTorrent.input.parse({ cycleDate: CYCLE, variant: 'regular' });
    expect(input).toEqual(ofCycle(CYCLE));
    expect(createTorrent.request(input).uniqueKey).toBe(`create_torrent:${CYCLE}:regular`);
    expect(createTorrent.request({ ...input, supplement: 2 }).uniqueKey).toBe(
      `create_torrent:${CYCLE}:regular:supplement-2`,
    );
  });
});

describe('what upstream changed after we took it', () => {
  it('is carried with its old bytes and said so, also in a supplement; what it withdrew is not carried', async () => {
    const operator = setup({ specs: [...ALL, LATE] });
    const newer = { kind: 'replaced', sizeBytes: 77, hashes: { sha1: 'f'.repeat(40) } } as const;
    operator.replacements.set(operator.rowOf(AA).id, newer);
    operator.replacements.set(operator.rowOf(NEWS).id, { kind: 'withdrawn' });
    const output = await operator.makeAndRecord();
    const paths = output.files.map((file) => file.pathInTorrent);
    expect(paths).toContain(pathOf(AA));
    expect(paths).not.toContain(pathOf(NEWS));
    const anew =
      'upstream published it anew after it was taken; this torrent carries the earlier bytes, proved against the hashes published then';
    expect(output.gaps).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ filename: AA.name, sizeBytes: 77, state: 'not_included', reason: anew }),
        expect.objectContaining({
          ...{ filename: NEWS.name, state: 'failed_upstream', reason: 'upstream withdrew it in a rerun' },
        }),
      ]),
    );
    expect(status(operator, MAIN).text).toContain(`not_included     aawiki ${AA.name}: ${anew}`);
    // The bytes stay where they are.
    expect(operator.rowOf(NEWS).localPath).not.toBeNull();
    operator.settle(LATE);
    await operator.makeAndRecord({ supplement: 1 });
    const { text } = status(operator, FIRST);
    expect(text).toContain(`${AA.name}: ${anew.replace('this torrent', `the torrent ${MAIN}`)}`);
    expect(text).toContain(`failed_upstream  enwikinews ${NEWS.name}: upstream withdrew it in a rerun`);
    // Upstream lists it again: now it is late.
    operator.replacements.delete(operator.rowOf(NEWS).id);
    const second = await operator.make({ supplement: 2 });
    expect(second.files.map((file) => file.pathInTorrent)).toEqual([pathOf(NEWS)]);
  });

  it('gives no place in a supplement to what had none in the torrent', async () => {
    const homeless = { ...EMPTY, language: '..', name: 'other.gz' };
    const operator = setup({ specs: [AA, homeless, LATE] });
    const { gaps } = await operator.makeAndRecord();
    expect(gaps.filter(({ filename }) => filename !== null)).toMatchObject([
      { filename: LATE.name },
      { filename: 'other.gz', state: 'not_included' },
    ]);
    operator.settle(LATE);
    const { gaps: later } = await operator.make({ supplement: 1 });
    expect(later).toEqual(gaps.filter(({ filename }) => filename !== LATE.name));
  });

  it('tells why a file is not there in the words of upstream, and never which host was asked', async () => {
    const operator = setup({ specs: [AA, GONE, BROKEN_UPSTREAM, LATE], baseUrl: 'http://127.0.0.1:9' });
    const reasonWith = async (change: Partial<DumpFile>) => {
      Object.assign(operator.rowOf(GONE), change);
      const { gaps } = await operator.make();
      expect(JSON.stringify(gaps)).not.toContain('127.0.0.1');
      return gaps.find(({ filename }) => filename === GONE.name);
    };
    expect(await reasonWith({ errorMessage: '127.0.0.1:9 has no /aawiki/20261120/x' })).toMatchObject({
      ...{ state: 'missing', reason: 'Wikimedia listed it, but has it no more' },
    });
    // As many mirrors as an operator has: the same words, or the swarm would split.
    for (const count of [2, 3])
      expect(await reasonWith({ errorMessage: `none of ${count} sources has x` })).toMatchObject({
        reason: 'Wikimedia listed it, but has it no more',
      });
    expect(await reasonWith({ errorMessage: 'upstream has removed the run' })).toMatchObject({
      reason: 'upstream has removed the run',
    });
    expect(await reasonWith({ ourStatus: 'pending', errorMessage: 'reset by 127.0.0.1' })).toMatchObject({
      reason: 'Wikimedia listed it without any hash, and it was not fetched by the deadline',
    });
    expect(await reasonWith({ upstreamSha1: 'a'.repeat(40) })).toMatchObject({
      reason: 'Wikimedia listed it, but it was not fetched by the deadline',
    });
    expect(await reasonWith({ ourStatus: 'quarantined' })).toMatchObject({ state: 'quarantined' });
  });
});

it('gives a name that exports of the current and of the full text share to the full one in the history torrent', async () => {
  const current = { ...EXPORT, dumpType: 'stub-meta-history' };
  const history = {
    ...EXPORT,
    source: 'content_history',
    isHistory: true,
    dumpType: 'pages-meta-history',
  } as const;
  const operator = setup({ specs: [current, history] });
  const { files, gaps } = await operator.make({ variant: 'history' });
  expect(files).toMatchObject([{ dumpId: 2, pathInTorrent: pathOf(EXPORT) }]);
  expect(gaps).toMatchObject(
    expect.arrayContaining([expect.objectContaining({ source: 'content_current', state: 'not_included' })]),
  );
});
