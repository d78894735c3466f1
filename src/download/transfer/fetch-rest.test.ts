import { expect, test } from 'vitest';
import { FakeClock } from '../../../test/helpers/fake-clock.ts';
import type { DumpFile } from '../../catalog/index.ts';
import { silentLog } from '../../ports/index.ts';
import { SourceFault } from '../sources/source-fault.ts';
import type { ByteRange, ByteSource, RangeClient, SourceBook } from '../sources/types.ts';
import { fetchRest } from './fetch-rest.ts';
import { createHeldRanges } from './held-ranges.ts';
import type { PartFile } from './part-file.ts';

/** Goal: how long a file takes, by the clock, when one of its sources is slow. Method: bodies that come as the clock says. */

const MB = 1_000_000;
const sourceOf = (id: string, kind: ByteSource['kind'], rangesAtOnce: number): ByteSource => ({
  ...{ id, kind, rangesAtOnce, url: `http://${id}.example/f` },
});

/** Gives chunk after chunk, each after the time it takes. */
function clientOf(
  clock: FakeClock,
  speeds: Record<string, number>,
  breaks: (source: ByteSource, at: number) => SourceFault | null = () => null,
): { client: RangeClient; asked: (ByteRange & { id: string })[] } {
  const asked: (ByteRange & { id: string })[] = [];
  async function* chunks(source: ByteSource, { startBytes, endBytes }: ByteRange, signal: AbortSignal) {
    const chunkBytes = Math.max(20_000, (speeds[source.id] ?? 0) / 20);
    for (let at = startBytes; at < endBytes; ) {
      const bytes = Math.min(chunkBytes, endBytes - at);
      await clock.sleep((bytes * 1000) / (speeds[source.id] ?? 1), signal);
      const fault = breaks(source, at);
      if (fault !== null) throw fault;
      yield Buffer.alloc(bytes);
      at += bytes;
    }
  }
  const client: RangeClient = {
    open(source, { signal, ...range }) {
      asked.push({ id: source.id, startBytes: range.startBytes, endBytes: range.endBytes });
      return Promise.resolve({
        ...{ startBytes: range.startBytes, validator: null, url: source.url, discard: () => {} },
        chunks: chunks(source, range, signal),
      });
    },
  };
  return { client, asked };
}

/** Sources in this order; one that turned out to be slow goes behind the origin. */
function bookOf(sources: readonly ByteSource[], known: Record<string, number>) {
  const speeds = new Map(Object.entries(known));
  const faults: string[] = [];
  const book = {
    sourcesFor() {
      const all = sources.map((one) => ({ ...one, bytesPerSecond: speeds.get(one.id) ?? null }));
      const isSlow = ({ kind, id }: ByteSource): boolean =>
        kind === 'mirror' && (speeds.get(id) ?? MB) < MB / 2;
      const ready = [...all.filter((one) => !isSlow(one)), ...all.filter(isSlow)];
      return { all: ready, ready };
    },
    noteBytes: ({ id }: ByteSource, { bytes, durationMs }: { bytes: number; durationMs: number }) =>
      void (bytes > 250_000 && durationMs > 0 && speeds.set(id, (bytes * 1000) / durationMs)),
    noteFault: ({ id }: ByteSource) => void faults.push(id),
  } as unknown as SourceBook;
  return { book, faults };
}

async function minutesOf(
  clock: FakeClock,
  deps: { client: RangeClient; book: SourceBook },
  sizeBytes: number,
): Promise<number> {
  const held = createHeldRanges();
  const part = {
    ...{ held, validators: new Map(), facts: { sizeBytes, hashes: {} } },
    file: { writeAll: () => Promise.resolve() },
  } as unknown as PartFile;
  let isOver = false;
  const work = fetchRest(
    { ...deps, clock },
    {
      ...{ row: { id: 1, wikiDbName: 'aawiki', filename: 'f' } as unknown as DumpFile, part },
      ...{ segmentBytes: 100 * MB, signal: new AbortController().signal, log: silentLog },
      ...{ mayWait: true, room: () => null, onWritten: () => {}, onAnew: () => {} },
    },
  ).finally(() => {
    isOver = true;
  });
  work.catch(() => {});
  let minutes = 0;
  for (; !isOver && minutes < 24 * 60; minutes += 1) await clock.advance(60_000);
  await work;
  expect(held.watermark()).toBe(sizeBytes);
  expect(clock.waiting).toBe(0);
  return minutes;
}

test('a mirror that turns out to be slow does not keep the file until its ranges are through', async () => {
  const clock = new FakeClock();
  // Above the floor of what is taken at all: two hours and a half for each range.
  const { client, asked } = clientOf(clock, { slow: 20_000, origin: 5 * MB });
  const sources = [sourceOf('slow', 'mirror', 2), sourceOf('origin', 'origin', 1)];
  const { book, faults } = bookOf(sources, { origin: 5 * MB });
  expect(await minutesOf(clock, { client, book }, 250 * MB)).toBeLessThan(8);
  expect(faults).toEqual([]);
  const sum = asked
    .filter(({ id }) => id === 'origin')
    .reduce((all, one) => all + one.endBytes - one.startBytes, 0);
  expect(sum).toBeGreaterThan(200 * MB);
});

test('a faster mirror takes over what a slow one has left at the end of a file', async () => {
  const clock = new FakeClock();
  const { client } = clientOf(clock, { slow: 20_000, fast: 5 * MB, origin: 5 * MB });
  const sources = [
    sourceOf('slow', 'mirror', 2),
    sourceOf('fast', 'mirror', 1),
    sourceOf('origin', 'origin', 1),
  ];
  const { book } = bookOf(sources, { origin: 5 * MB });
  expect(await minutesOf(clock, { client, book }, 300 * MB)).toBeLessThan(8);
});

test('what breaks because of a pause of ours goes on from where it stood, as often as it takes', async () => {
  const clock = new FakeClock();
  const origin = sourceOf('origin', 'origin', 1);
  let bodies = 0;
  const { client, asked } = clientOf(clock, { origin: MB }, (source, at) =>
    at % (5 * MB) === 0 && at > 0 && bodies++ % 2 === 0
      ? new SourceFault(source, 'broken_off', 'broke off', { mayBeOurs: true })
      : null,
  );
  const { book, faults } = bookOf([origin], {});
  await minutesOf(clock, { client, book }, 50 * MB);
  expect(asked.length).toBe(10);
  expect(asked.every(({ startBytes }, at) => startBytes === at * 5 * MB)).toBe(true);
  expect(faults).toEqual([]);
});
