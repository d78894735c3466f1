import { createHash } from 'node:crypto';
import bencode from 'bencode';
import { expect, test } from 'vitest';
import { MetainfoError, readMetainfo, withWebseeds } from './metainfo.ts';

const torrent = (count: number): Buffer =>
  Buffer.from(
    bencode.encode({
      announce: 'udp://tracker.example.org:1/announce',
      // Sorts behind `url-list`.
      zz: { nested: ['x', 5] },
      info: {
        files: [
          ...Array.from({ length: count }, (_, n) => ({
            length: 1000,
            path: ['compressed', `file-${n}.gz`],
          })),
          { attr: 'p', length: 24, path: ['.pad', '24'] },
        ],
        name: 'ünïcode',
        'piece length': 16_384,
        pieces: Buffer.alloc(20 * Math.ceil((count * 1000 + 24) / 16_384), 7),
      },
    }),
  );

test('reads what another encoder wrote', async () => {
  const bytes = torrent(3);
  const { info } = bencode.decode(bytes) as { info: Parameters<typeof bencode.encode>[0] };
  const facts = await readMetainfo(bytes);
  expect(facts.infoHash).toBe(createHash('sha1').update(bencode.encode(info)).digest('hex'));
  expect([facts.name, facts.pieceLength, facts.totalSizeBytes, facts.webseeds]).toEqual([
    'ünïcode',
    16_384,
    3024,
    [],
  ]);
  expect(facts.files.at(-2)).toEqual({
    path: 'compressed/file-2.gz',
    sizeBytes: 1000,
    isPadding: false,
    offset: 2000,
  });
  expect(facts.files.at(-1)).toEqual({ path: '.pad/24', sizeBytes: 24, isPadding: true, offset: 3000 });
});

test('webseeds come and go, and another decoder sees nothing else change', async () => {
  const bytes = torrent(3);
  const roots = ['https://a.example/x/', 'https://ü.example/'];
  const changed = await withWebseeds(bytes, roots);
  expect((await readMetainfo(changed)).webseeds).toEqual(roots);
  const { 'url-list': list, ...rest } = bencode.decode(changed) as Record<string, unknown>;
  expect((list as Uint8Array[]).map((url) => Buffer.from(url).toString())).toEqual(roots);
  expect(rest).toEqual(bencode.decode(bytes));
  // In the one order that bencode allows.
  expect(Buffer.from(bencode.encode(bencode.decode(changed) as never)).equals(changed)).toBe(true);
  expect((await withWebseeds(changed, [])).equals(bytes)).toBe(true);
});

test('one address instead of a list is read, too', async () => {
  const bytes = Buffer.from(`${torrent(1).toString('latin1').slice(0, -1)}`, 'latin1');
  const at = bytes.indexOf('2:zz');
  const whole = Buffer.concat([
    bytes.subarray(0, at),
    Buffer.from('8:url-list11:http://a.b/'),
    bytes.subarray(at),
    Buffer.from('e'),
  ]);
  expect((await readMetainfo(whole)).webseeds).toEqual(['http://a.b/']);
});

test('no cut, and no name that leads out, is taken for a torrent', async () => {
  const bytes = torrent(2);
  for (let length = 0; length < bytes.length; length += 1)
    await expect(readMetainfo(bytes.subarray(0, length))).rejects.toThrow(MetainfoError);
  await expect(readMetainfo(Buffer.concat([bytes, bytes]))).rejects.toThrow(MetainfoError);
  const bad = Buffer.from(bytes.toString('latin1').replace('10:compressed', '10:../etcetra'), 'latin1');
  await expect(readMetainfo(bad)).rejects.toThrow(/cannot be the name/);
});

test.each<[string, (bytes: Buffer) => Promise<unknown>, number]>([
  ['read', readMetainfo, 20],
  ['given other webseeds', (bytes) => withWebseeds(bytes, ['https://a.example/']), 8],
])('30,000 files are %s in turns', async (_what, work, least) => {
  const bytes = torrent(30_000);
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await work(bytes);
  isOver = true;
  // What one turn may take is counted in files and values: a clock would measure the machine.
  expect(turns).toBeGreaterThan(least);
});

test('bencode that is none is found out, however deep', async () => {
  const broken = [
    'd4:infodi5e1:xee',
    'd4:infode1:ad1:be',
    `d1:a${'l'.repeat(30)}${'e'.repeat(30)}4:infodee`,
    'd1:ali5e',
    'd1:ax4:infodee',
  ];
  for (const text of broken)
    await expect(withWebseeds(Buffer.from(text), []), text).rejects.toThrow(MetainfoError);
});
