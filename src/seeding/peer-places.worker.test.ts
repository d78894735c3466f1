import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import type { Wire } from 'webtorrent';
import { createPeerPlaces, incomingMax } from './peer-places.worker.ts';

/*
 * Goal: no torrent has more peers than it may, and who only holds a place loses it to who wants something.
 */

const MINUTE = 60_000;

/** A torrent of three places, and a clock. */
function threePlaces() {
  let nowMs = 0;
  const wires: Wire[] = [];
  const gone: Wire[] = [];
  const places = createPeerPlaces({ max: 3, now: () => nowMs });
  const arrive = (): Wire => {
    const wire = Object.assign(new EventEmitter(), {
      destroy: () => void gone.push(wire),
    }) as unknown as Wire;
    wires.push(wire);
    places.receive({ wires }, wire);
    return wire;
  };
  /** The client takes it off its list. */
  const buryAll = (): void => {
    for (const wire of gone) if (wires.includes(wire)) wires.splice(wires.indexOf(wire), 1);
  };
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { arrive, gone, buryAll, pass, wires };
}

it('sends newcomers away while all others are given something', () => {
  const { arrive, gone, buryAll, pass } = threePlaces();
  const first = [arrive(), arrive(), arrive()];
  expect(gone).toEqual([]);
  for (let minute = 0; minute < 20; minute += 1) {
    pass(MINUTE);
    for (const wire of first) wire.emit('upload', 2 ** 14);
  }
  const late = [arrive(), arrive()];
  expect(gone).toEqual(late);
  buryAll();
  expect(gone).not.toContain(first[0]);
});

it('gives a newcomer the place of whoever was given nothing for longest, one each', () => {
  const { arrive, gone, pass, buryAll, wires } = threePlaces();
  const [, busy, idle] = [arrive(), arrive(), arrive()];
  pass(MINUTE);
  idle!.emit('upload', 2 ** 14);
  pass(4 * MINUTE);
  busy!.emit('upload', 2 ** 14);
  const late = arrive();
  expect(gone).toEqual([wires[0]]);
  // The client has not buried it yet, and nobody else is idle for long enough.
  const later = arrive();
  expect(gone.at(-1)).toBe(later);
  buryAll();
  pass(MINUTE);
  arrive();
  expect(gone.at(-1)).toBe(idle);
  expect([busy, late].some((wire) => gone.includes(wire!))).toBe(false);
});

it('leaves room for handshakes, also for an operator who wants many peers', () => {
  expect(incomingMax(200)).toEqual({ tcp: 1000, utp: 500 });
  expect(incomingMax(3000)).toEqual({ tcp: 6000, utp: 6000 });
});
