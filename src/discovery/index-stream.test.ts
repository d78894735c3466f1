import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { readIndex } from './index-stream.ts';

async function entriesOf(text: string, chunkBytes = 7): Promise<[string, unknown][]> {
  const bytes = Buffer.from(text);
  const chunks: Buffer[] = [];
  for (let from = 0; from < bytes.length; from += chunkBytes)
    chunks.push(bytes.subarray(from, from + chunkBytes));
  const entries: [string, unknown][] = [];
  await readIndex(Readable.from(chunks), (name, entry) => entries.push([name, entry]));
  return entries;
}

test.each([1, 7, 1_000_000])('entries come whole and in order, in chunks of %i bytes', async (chunkBytes) => {
  const wikis = { zzwiki: { jobs: { a: { status: 'done €' } } }, aawiki: {}, __proto: null, ß: [1] };
  const text = `${JSON.stringify({ version: [{ wikis: { no: 1 } }], wikis, after: { wikis: { no: 2 } } }, null, 1)}\n`;
  expect(await entriesOf(text, chunkBytes)).toEqual(Object.entries(wikis));
});

test('an index that names no wiki yet is whole', async () => {
  expect(await entriesOf('{"wikis": {}}\n')).toEqual([]);
});

test.each([
  '',
  '{}',
  '[]',
  'null',
  '{"wikis": []}',
  '{"wikis": ["a"]}',
  '{"wikis": null}',
  '{"wikis": "aawiki"}',
  '{"a": {"wikis": {}}}',
  '{"wikis": {"aawiki": {}}',
  '{"wikis": {"aawiki": {}}} {}',
  '{"wikis": {"aawiki": {}}}"}}',
  '<html>',
  '{"wikis": {"aawiki": 1 : {}}}',
  '{"wikis": {"aawiki" {}}}',
  '{"wikis": {"aawiki": {]}}}',
  '}{"wikis": {}}',
  '{"wikis": {"aawiki": {"jobs": {"a": NaN}}}}',
])('%s is torn', async (text) => {
  await expect(entriesOf(text)).rejects.toMatchObject({ code: 'torn_index' });
});

test('every cut is torn', async () => {
  const text = JSON.stringify({ wikis: { aawiki: { jobs: { a: { status: 'done' } } }, bbwiki: {} } });
  for (let cut = 0; cut < text.length; cut += 1)
    await expect(entriesOf(text.slice(0, cut)), String(cut)).rejects.toMatchObject({ code: 'torn_index' });
});

test('what the reader of entries throws is not blamed on the index, nor is a broken connection', async () => {
  const own = new Error('no room');
  const failing = readIndex(Readable.from([Buffer.from('{"wikis": {"aawiki": {}}}')]), () => {
    throw own;
  });
  await expect(failing).rejects.toBe(own);
  const broken = new Readable({
    read() {
      this.destroy(new Error('ECONNRESET'));
    },
  });
  await expect(readIndex(broken, () => {})).rejects.toThrow('ECONNRESET');
});
