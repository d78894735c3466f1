import { describe, expect, it } from 'vitest';
import { Buffers } from './proven-memory.ts';
import { Turnstile } from './turnstile.ts';

/** Goal: proofs stay within their memory, and whoever asks for much keeps nobody else from his. */

/** A turnstile whose work ends when it is told to. */
function turnstile(limits: Partial<ConstructorParameters<typeof Turnstile>[0]>) {
  const stile = new Turnstile({ atOnce: 1, bytesAtOnce: 100, waitingMax: 10, ...limits });
  const running: { name: string; bytes: number; end: () => void }[] = [];
  const begun: string[] = [];
  const refused: string[] = [];
  const ask = (name: string, bytes = 1): void => {
    const work = (): Promise<void> =>
      new Promise((resolve) => {
        begun.push(name);
        running.push({ name, bytes, end: resolve });
      });
    stile.pass(bytes, name.charAt(0), work).catch(() => void refused.push(name));
  };
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const endOne = async (): Promise<void> => {
    running.shift()!.end();
    await settled();
  };
  return { ask, endOne, settled, running, begun, refused };
}

describe('a turnstile', () => {
  it('serves askers in turn, each in the order of his asking', async () => {
    const { ask, endOne, begun, running } = turnstile({});
    for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']) ask(name);
    while (running.length > 0) await endOne();
    expect(begun).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
  });

  it('sends away the last of whoever has most when too many wait', async () => {
    const { ask, endOne, settled, begun, refused, running } = turnstile({ waitingMax: 4 });
    for (const name of ['a0', 'a1', 'a2', 'a3', 'a4', 'a5']) ask(name);
    await settled();
    expect(refused).toEqual(['a5']);
    ask('b1');
    ask('c1');
    await settled();
    expect(refused).toEqual(['a5', 'a4', 'a3']);
    // Two, one, one: nobody has more than the newcomer would have.
    ask('c2');
    ask('d1');
    await settled();
    expect(refused.slice(3)).toEqual(['c2', 'a2']);
    ask('e1');
    await settled();
    expect(refused.slice(5)).toEqual(['e1']);
    while (running.length > 0) await endOne();
    expect(begun).toEqual(['a0', 'a1', 'b1', 'c1', 'd1']);
  });

  it('counts bytes, lets one in however large it is, and lets nobody overtake it', async () => {
    const { ask, endOne, settled, begun, running } = turnstile({ atOnce: 4, bytesAtOnce: 100 });
    ask('a1', 60);
    ask('b1', 60);
    ask('c1', 10);
    await settled();
    expect(begun).toEqual(['a1']);
    await endOne();
    expect(begun).toEqual(['a1', 'b1', 'c1']);
    ask('d1', 500);
    ask('e1', 10);
    await settled();
    expect(begun).toHaveLength(3);
    await endOne();
    await endOne();
    expect(running.map(({ name }) => name)).toEqual(['d1']);
    await endOne();
    expect(running.map(({ name }) => name)).toEqual(['e1']);
    expect(begun).toHaveLength(5);
  });

  it('goes on after work that failed', async () => {
    const stile = new Turnstile({ atOnce: 1, bytesAtOnce: 1, waitingMax: 1 });
    const failing = stile.pass(1, 'a', () => Promise.reject(new Error('no')));
    const next = stile.pass(1, 'b', async () => 'yes');
    await expect(failing).rejects.toThrow('no');
    expect(await next).toBe('yes');
  });
});

describe('buffers', () => {
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('are used again, and idle ones take no more than their bytes', async () => {
    const buffers = new Buffers(100);
    const given = Array.from({ length: 5 }, () => buffers.take(30));
    for (const buffer of given) buffers.giveBack(buffer);
    await settled();
    expect(buffers.idleBytes).toBe(90);
    expect(given).toContain(buffers.take(30));
    expect(buffers.idleBytes).toBe(60);
    const large = buffers.take(80);
    buffers.giveBack(large);
    await settled();
    // The older ones made room.
    expect(buffers.idleBytes).toBe(80);
    expect(buffers.take(80)).toBe(large);
    buffers.giveBack(buffers.take(101));
    await settled();
    expect(buffers.idleBytes).toBe(0);
  });
});
