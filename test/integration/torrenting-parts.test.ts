import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ofCycle } from '../../src/torrenting/index.ts';
import { AA, CYCLE, EXPORT, GONE, NEWS, readTorrent, setup, tree } from '../helpers/torrenting-bundle.ts';

/*
 * Goal: what one torrent cannot hold is split into parts that together say and carry everything once.
 * Method: real files in temporary data directories, the real job handler, small bounds; each part is recorded as the queue does.
 */

const PIECE = 2 ** 16;
const file = (wiki: string, language: string, project: string, type: string, pieces: number) => ({
  ...{ wiki, language, project, name: `${wiki}-20261120-${type}.gz`, dumpType: 'page' },
  sizeBytes: pieces * PIECE - 77,
});
const SPECS = [
  file('aawiki', 'aa', 'wikipedia', 'one', 9),
  file('aawiki', 'aa', 'wikipedia', 'two', 9),
  file('bbwiki', 'bb', 'wikipedia', 'one', 9),
  // Alone too much for one torrent.
  file('ccwiki', 'cc', 'wikipedia', 'one', 40),
  file('ccwiki', 'cc', 'wikipedia', 'two', 40),
  file('ddwiki', 'dd', 'wikipedia', 'one', 3),
  { ...file('aawiki', 'aa', 'wikipedia', 'gone', 1), ourStatus: 'failed' as const },
  { ...file('ddwiki', 'dd', 'wikipedia', 'gone', 1), ourStatus: 'failed' as const },
  // Of its wiki there is nothing at all.
  { ...file('eewiki', 'ee', 'wikipedia', 'gone', 1), ourStatus: 'failed' as const },
];
const SETTINGS = {
  ...{ specs: SPECS, pieceLengthBytes: PIECE, alignFilesFromBytes: 2 ** 40 },
  bounds: { maxPieces: 62, maxTorrentSizeBytes: 10_000_000 },
};

/** All parts of a torrent, one after the other, as the pipeline asks for them. */
async function makeAll(operator: ReturnType<typeof setup>, which = ofCycle(CYCLE)) {
  const outputs = [await operator.makeAndRecord(which)];
  while (outputs.at(-1)!.hasMore)
    outputs.push(await operator.makeAndRecord({ ...which, part: outputs.at(-1)!.part + 1 }));
  return outputs;
}

describe('a torrent that is too large', () => {
  it('is split along languages and projects, and each file and each gap is in one part', async () => {
    const operator = setup(SETTINGS);
    const outputs = await makeAll(operator);
    expect(outputs.map(({ name, part, hasMore }) => [name, part, hasMore])).toEqual([
      [`wikimedia-dumps-${CYCLE}-part-1`, 1, true],
      [`wikimedia-dumps-${CYCLE}-part-2`, 2, true],
      [`wikimedia-dumps-${CYCLE}-part-3`, 3, false],
    ]);
    const names = outputs.map(({ files }) => files.map(({ pathInTorrent }) => pathInTorrent.slice(11)));
    expect(names).toEqual([
      [
        'aa/wikipedia/aawiki-20261120-one.gz',
        'aa/wikipedia/aawiki-20261120-two.gz',
        'bb/wikipedia/bbwiki-20261120-one.gz',
      ],
      ['cc/wikipedia/ccwiki-20261120-one.gz'],
      ['cc/wikipedia/ccwiki-20261120-two.gz', 'dd/wikipedia/ddwiki-20261120-one.gz'],
    ]);
    for (const { pieceCount } of outputs) expect(pieceCount).toBeLessThanOrEqual(62);
    const gapsOf = (index: number): string[] =>
      outputs[index]!.gaps.flatMap(({ filename, wikiDbName }) => filename ?? wikiDbName);
    // What belongs to no part is told in the first.
    expect(gapsOf(0)).toEqual(['aawiki', 'aawiki-20261120-gone.gz', 'eewiki-20261120-gone.gz', 'zzwiki']);
    expect(gapsOf(1)).toEqual([]);
    expect(gapsOf(2)).toEqual(['ddwiki-20261120-gone.gz']);
    const text = (index: number, path: string): string =>
      readFileSync(join(operator.layout.torrents, outputs[index]!.name, path), 'utf8');
    expect(text(1, 'README.txt')).toContain('THIS IS PART 2');
    expect(text(1, 'README.txt')).toContain(`wikimedia-dumps-${CYCLE}-part-1, `);
    expect(text(1, 'STATUS.txt')).toContain('Only part 2 of several');
    expect(JSON.parse(text(2, 'STATUS.json'))).toMatchObject({ part: 3, grouping: 'cycle', scope: null });
    expect(text(2, 'VERSION.txt')).toContain('WikiSeed payload 1.3');
  });

  it('is one torrent, without a number, when it fits', async () => {
    const operator = setup({ ...SETTINGS, bounds: { maxPieces: 130, maxTorrentSizeBytes: 10_000_000 } });
    expect(await operator.make()).toMatchObject({
      name: `wikimedia-dumps-${CYCLE}`,
      part: 0,
      hasMore: false,
    });
    const small = setup({ ...SETTINGS, bounds: { maxPieces: 130, maxTorrentSizeBytes: 67_000 } });
    expect(await small.make()).toMatchObject({ name: `wikimedia-dumps-${CYCLE}-part-1`, hasMore: true });
  });

  it('is the same for another operator, and each part is made again as it was', async () => {
    const one = setup(SETTINGS);
    const other = setup({ ...SETTINGS, specs: [...SPECS].reverse() });
    const [a, b] = [await makeAll(one), await makeAll(other)];
    expect(b.map(({ infoHash }) => infoHash)).toEqual(a.map(({ infoHash }) => infoHash));
    for (const { name, part, infoHash } of a) {
      rmSync(join(one.layout.torrents, name), { recursive: true });
      expect(await one.make({ part })).toMatchObject({ name, part, infoHash, hasMore: false });
      expect(tree(join(one.layout.torrents, name))).toEqual(tree(join(other.layout.torrents, name)));
    }
    // Whoever asks for all of it after a restart means the first part.
    expect((await one.make()).infoHash).toBe(a[0]!.infoHash);
  });

  it('leaves what settles between two parts, and was told as missing, to a supplement, which names all parts', async () => {
    const operator = setup(SETTINGS);
    const first = await operator.makeAndRecord();
    const late = SPECS[6]!;
    operator.settle(late);
    const second = await operator.makeAndRecord({ part: 2 });
    const third = await operator.makeAndRecord({ part: 3 });
    const pathOf = `compressed/aa/wikipedia/${late.name}`;
    for (const { files } of [first, second, third])
      expect(files.map(({ pathInTorrent }) => pathInTorrent)).not.toContain(pathOf);
    const supplement = await operator.makeAndRecord({ supplement: 1 });
    expect(supplement.files.map(({ pathInTorrent }) => pathInTorrent)).toEqual([pathOf]);
    const readme = readFileSync(join(operator.layout.torrents, supplement.name, 'README.txt'), 'utf8');
    for (const { name } of [first, second, third]) expect(readme).toContain(name);
  });

  it('never lets two parts have names that are one where case is ignored', async () => {
    const clash = { ...file('aawiki', 'AA', 'wikipedia', 'clash', 2) };
    const operator = setup({ ...SETTINGS, specs: [...SPECS, clash] });
    const outputs = await makeAll(operator);
    const paths = outputs.flatMap(({ files }) => files.map(({ pathInTorrent }) => pathInTorrent));
    expect(paths).not.toContain(`compressed/AA/wikipedia/${clash.name}`);
    expect(new Set(paths).size).toBe(paths.length);
    expect(outputs.flatMap(({ gaps }) => gaps.map(({ filename }) => filename))).toContain(clash.name);
  });
});

it('a run of a wiki is split, too; its parts share the folder of the wiki', async () => {
  const which = ofCycle(CYCLE, {
    ...{ grouping: 'wiki_run', scope: 'aawiki', source: 'classic', runDate: '20261120' },
  });
  const specs = ['a', 'b', 'c', 'd'].map((type, index) =>
    file('aawiki', 'aa', 'wikipedia', type, 30 + index),
  );
  const operator = setup({ ...SETTINGS, specs: [...specs, NEWS, GONE, EXPORT, AA] });
  const outputs = await makeAll(operator, which);
  expect(outputs.map(({ name, infoName }) => [name, infoName])).toEqual([
    ['aawiki-20261120-part-1', 'aawiki'],
    ['aawiki-20261120-part-2', 'aawiki'],
    ['aawiki-20261120-part-3', 'aawiki'],
  ]);
  const paths = outputs.flatMap(({ name }) => readTorrent(operator, name).files.map(({ path }) => path));
  expect([...paths].sort()).toEqual([...specs, AA].map(({ name }) => `20261120/${name}`).sort());
  for (const { name, infoHash } of outputs)
    expect(createHash('sha1').update(readTorrent(operator, name).info).digest('hex')).toBe(infoHash);
});
