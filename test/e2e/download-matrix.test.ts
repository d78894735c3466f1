import { describe, expect, onTestFinished, test } from 'vitest';
import type { FaultSpec } from '../../src/sandbox/index.ts';
import {
  drive,
  expectNotStored,
  expectPolite,
  expectStored,
  type Outcome,
} from '../helpers/download-drive.ts';
import { type DownloadWorld, openDownloadWorld } from '../helpers/download-world.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/**
 * Goal: whatever a source does, a file is stored byte for byte or not at all, and nobody is asked for what politeness forbids.
 * Method: every fault at the origin and at a mirror, at three places of the file, once and for ever; real sockets, disk, threads
 * and room, a clock that stands still. The judge compares with the bytes that were put on the site, by hashes of its own.
 */

const SEGMENT = 160 * 1024;
/** Large enough that mirrors go first, and no multiple of anything. */
const SIZE = 8 * SEGMENT + 4321;
const random = seededRandom(20261123);
const CONTENT = Buffer.from(Array.from({ length: SIZE }, () => Math.floor(random.next() * 256)));
const PLACES = { start: 10, middle: Math.floor(SIZE / 2) + 10, end: SIZE - 10 } as const;
type Place = keyof typeof PLACES;

type Server = 'dumps' | 'mirror-1';

interface Trouble {
  /** What the source does to the request for a byte of the file. */
  spec(at: number, world: DownloadWorld, server: Server): Omit<FaultSpec, 'server' | 'match'>;
  /** Only a request for a range can be hit. */
  ofRanges?: true;
  /** Code of the end when the origin, which is alone, does it once; without it the file is stored. */
  once?: string;
  /** What is in the end when the origin, which is alone, does it for ever: stored, or codes of which the last error has one. */
  forEver: 'stored' | readonly string[];
}

const BROKEN_OFF = ['broken_off', 'truncated', 'network'];
const TROUBLES: Readonly<Record<string, Trouble>> = {
  '200 to a request for a range': {
    spec: () => ({ kind: 'ignore-range' }),
    ofRanges: true,
    forEver: 'stored',
  },
  '416': { spec: () => ({ kind: 'unsatisfiable' }), ofRanges: true, forEver: 'stored' },
  'another range than asked for': {
    spec: () => ({ kind: 'wrong-range' }),
    ofRanges: true,
    forEver: 'stored',
  },
  'an earlier range than asked for': {
    spec: () => ({ kind: 'wrong-range', shiftBytes: -1 }),
    ofRanges: true,
    forEver: 'stored',
  },
  'a wrong Content-Range': {
    spec: () => ({ kind: 'wrong-range', contentRange: `bytes 0-9/${SIZE}` }),
    ofRanges: true,
    forEver: 'stored',
  },
  'no readable Content-Range': {
    spec: () => ({ kind: 'wrong-range', contentRange: 'bytes */*' }),
    ofRanges: true,
    forEver: 'stored',
  },
  'a changed validator': { spec: () => ({ kind: 'changed' }), ofRanges: true, forEver: 'stored' },
  'a weak validator': { spec: () => ({ kind: 'weak-etag' }), forEver: 'stored' },
  'a body that breaks off': { spec: (fileByte) => ({ kind: 'truncate', fileByte }), forEver: BROKEN_OFF },
  'a short body without a length': { spec: (fileByte) => ({ kind: 'short', fileByte }), forEver: BROKEN_OFF },
  'a long body without a length': { spec: () => ({ kind: 'long' }), forEver: 'stored' },
  'a gzip’d transfer': { spec: () => ({ kind: 'gzip' }), forEver: ['encoded'] },
  'a redirect to another host': {
    spec: (_at, { spare }) => ({ kind: 'redirect', location: spare.baseUrl, keepsPath: true }),
    forEver: 'stored',
  },
  'a redirect to a private address': {
    spec: (_at, { hidden }) => ({ kind: 'redirect', location: hidden.url, keepsPath: true }),
    forEver: ['refused_redirect'],
  },
  'a redirect to a private address in the dress of IPv6': {
    spec: (_at, { hidden }) => ({
      kind: 'redirect',
      status: 302,
      location: hidden.url.replace('127.0.0.2', '[::ffff:127.0.0.2]'),
      keepsPath: true,
    }),
    forEver: ['refused_redirect'],
  },
  'a redirect loop': {
    spec: (_at, world, server) => ({
      kind: 'redirect',
      location: server === 'dumps' ? world.origin.baseUrl : (world.mirrors[0]?.baseUrl ?? ''),
      keepsPath: true,
    }),
    forEver: ['refused_redirect', 'network'],
  },
  'a stall': { spec: (fileByte) => ({ kind: 'stall', fileByte }), forEver: ['stalled'] },
  'a trickle that is never silent': {
    spec: (fileByte) => ({ kind: 'slow', fileByte, bytesPerSecond: 500 }),
    forEver: ['stalled'],
  },
  'a reset in the body': { spec: (fileByte) => ({ kind: 'reset', fileByte }), forEver: BROKEN_OFF },
  'a reset without an answer': {
    spec: () => ({ kind: 'reset', atByte: 0 }),
    forEver: ['network', 'unreachable'],
  },
  'one lying byte': {
    spec: (at) => ({ kind: 'lie', lies: [{ startBytes: at, endBytes: at + 1 }], mask: 0x40 }),
    forEver: ['checksum_mismatch'],
  },
  'a whole lie': { spec: () => ({ kind: 'lie' }), forEver: ['checksum_mismatch'] },
  'a byte too few': { spec: () => ({ kind: 'wrong-size' }), forEver: ['size_mismatch'] },
  'bytes too many': {
    spec: () => ({ kind: 'wrong-size', sizeBytes: SIZE + 5000 }),
    forEver: ['size_mismatch'],
  },
  '403': { spec: () => ({ kind: 'status', status: 403 }), forEver: ['forbidden'] },
  '404': { spec: () => ({ kind: 'vanish' }), once: 'not_found', forEver: ['not_found'] },
  '429 with a time': {
    spec: () => ({ kind: 'status', status: 429, retryAfter: 90 }),
    forEver: ['http_status'],
  },
  '500': { spec: () => ({ kind: 'status', status: 500 }), forEver: ['http_status'] },
  '503': { spec: () => ({ kind: 'status', status: 503 }), forEver: ['http_status'] },
};

async function open(mirrors: number): Promise<DownloadWorld> {
  const world = await openDownloadWorld({ content: CONTENT, mirrors, segmentBytes: SEGMENT });
  onTestFinished(() => world.close());
  return world;
}

async function play(world: DownloadWorld): Promise<Outcome> {
  const outcome = await drive(world, world.begin());
  expectPolite(world);
  expect(world.hidden.asked(), 'nobody is sent into a private network').toBe(0);
  if (outcome.stored) expectStored(world);
  else expectNotStored(world);
  return outcome;
}

/**
 * Puts the trouble on a source. At the origin a file comes as one body: a trouble of ranges needs an end of the first one, after
 * which the rest is asked for.
 */
function cause(
  world: DownloadWorld,
  server: 'dumps' | 'mirror-1',
  place: Place,
  trouble: Trouble,
  times: number,
) {
  const isRest = server === 'dumps' && (trouble.ofRanges === true || place !== 'start');
  // Before the first byte there is no range to begin at.
  const first = isRest ? 2 * SEGMENT + 10 : trouble.ofRanges ? SEGMENT + 10 : 0;
  const at = Math.max(PLACES[place], first);
  const own = trouble.spec(at, world, server);
  // What happens within a body needs no end before.
  const isWithin = own.fileByte !== undefined || own.kind === 'lie';
  if (isRest && !isWithin) world.script(server, { kind: 'truncate', fileByte: at });
  // Others do not see the first request anyway: it has no range, or its sending has a fault already.
  const seesFirst = !['ignore-range', 'unsatisfiable', 'wrong-range', 'long', 'gzip'].includes(own.kind);
  const after = isRest && !isWithin && seesFirst ? { after: 1 } : {};
  return world.script(server, { fileByte: at, ...after, times, ...own });
}

const cells = Object.keys(TROUBLES).flatMap((name) =>
  (Object.keys(PLACES) as Place[]).map((place) => [name, place] as const),
);

describe('at the origin', () => {
  test.each(cells)('%s, at the %s: once', async (name, place) => {
    const world = await open(0);
    const trouble = TROUBLES[name] as Trouble;
    const fault = cause(world, 'dumps', place, trouble, 1);
    const { stored, errors } = await play(world);
    expect(fault.fired).toBe(1);
    if (trouble.once === undefined) expect(stored, String(errors.at(-1))).toBe(true);
    else expect({ stored, code: errors.at(-1)?.code }).toEqual({ stored: false, code: trouble.once });
  });

  test.each(
    Object.keys(TROUBLES),
  )('%s, for ever: the file is stored, or the end has a name', async (name) => {
    const world = await open(0);
    const trouble = TROUBLES[name] as Trouble;
    const fault = cause(world, 'dumps', 'middle', trouble, Number.POSITIVE_INFINITY);
    const { stored, errors } = await play(world);
    expect(fault.fired).toBeGreaterThanOrEqual(1);
    if (trouble.forEver === 'stored') expect(stored, String(errors.at(-1))).toBe(true);
    else {
      expect(stored).toBe(false);
      expect(trouble.forEver).toContain(errors.at(-1)?.code);
    }
  });
});

describe('at a mirror', () => {
  test.each(Object.keys(PLACES) as Place[])('a redirect to the origin, at the %s', async (place) => {
    const world = await open(1);
    const spec = { kind: 'redirect', location: world.origin.baseUrl, keepsPath: true } as const;
    const fault = world.script('mirror-1', {
      ...spec,
      fileByte: PLACES[place],
      times: Number.POSITIVE_INFINITY,
    });
    expect(await play(world)).toEqual({ stored: true, errors: [] });
    expect(fault.fired).toBeGreaterThanOrEqual(1);
  });

  test('redirects of every request to the origin make no second connection for a file there', async () => {
    const world = await open(2);
    for (const server of ['mirror-1', 'mirror-2'] as const)
      world.script(server, {
        ...{ kind: 'redirect', location: world.origin.baseUrl, keepsPath: true },
        times: Number.POSITIVE_INFINITY,
      });
    expect(await play(world)).toEqual({ stored: true, errors: [] });
    expect(world.faults.all().every(({ fired }) => fired > 0)).toBe(true);
  });

  test.each(cells)('%s, at the %s: once or for ever, no attempt fails', async (name, place) => {
    for (const times of [1, Number.POSITIVE_INFINITY]) {
      const world = await open(1);
      const fault = cause(world, 'mirror-1', place, TROUBLES[name] as Trouble, times);
      const { stored, errors } = await play(world);
      expect(fault.fired).toBeGreaterThanOrEqual(1);
      expect({ stored, errors: errors.map(String) }).toEqual({ stored: true, errors: [] });
    }
  });
});
