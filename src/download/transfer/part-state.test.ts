import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type PartState, readPartState, writePartState } from './part-state.ts';

const STATE: PartState = {
  facts: { sizeBytes: 300, hashes: { sha1: 'ab' } },
  pieceLengthBytes: 100,
  ranges: [
    { startBytes: 0, endBytes: 120, giver: 'origin' },
    { startBytes: 200, endBytes: 250, giver: 'https://mirror.example.org' },
  ],
  validators: { origin: '"1-v1"' },
  hashing: { md5: { bytes: 100, states: ['AAA='], pieceSha1s: '' }, sha: null },
  digests: { md5: 'a', sha1: 'b', sha256: 'c', pieceSha1s: Buffer.from([1, 2, 3]) },
  doubts: [{ startBytes: 0, endBytes: 100, giver: 'origin', askedAt: ['archive'], isDisputed: true }],
};

test('reads back what it wrote', () => {
  expect(readPartState(writePartState(STATE))).toEqual(STATE);
  const bare = { ...STATE, hashing: null, digests: null, doubts: null, ranges: [], validators: {} };
  expect(readPartState(writePartState(bare))).toEqual(bare);
});

test('reads one of a version that repaired nothing', () => {
  const [json = ''] = writePartState({ ...STATE, doubts: null }).split('\n');
  const older = json.replace(',"doubts":null', '');
  expect(older).not.toBe(json);
  const checksum = createHash('sha256').update(older).digest('hex');
  expect(readPartState(`${older}\n${checksum}\n`)).toEqual({ ...STATE, doubts: null });
});

test('a sidecar that is torn, or altered, at any byte is none', () => {
  const text = writePartState(STATE);
  for (let at = 0; at < text.length; at += 1) {
    expect(readPartState(text.slice(0, at))).toBeNull();
    const other = text[at] === 'x' ? 'y' : 'x';
    expect(readPartState(text.slice(0, at) + other + text.slice(at + 1))).toBeNull();
  }
  expect(readPartState(`${text}x`)).toBeNull();
  expect(readPartState(text + text)).toBeNull();
});
