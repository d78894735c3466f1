import { randomUUID } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createNodeDisk, type Disk, type DiskFile } from '../../src/ports/index.ts';

/** How a process ends: alone, or with the machine, whose memory takes with it what was not made durable. */
export type Death = 'killed' | 'power cut';

/** The memory of a machine, which outlives its processes: what they wrote and did not make durable. */
export interface Machine {
  /** Writes, oldest first. */
  undo: Undo[];
  renames: Renamed[];
  /** At power cuts, so far. */
  lostWrites: number;
}

/** A machine that has nothing to lose. */
export function createMachine(): Machine {
  return { undo: [], renames: [], lostWrites: 0 };
}

/** Everything is durable, as after a minute at the latest. */
export function flush(machine: Machine): void {
  machine.undo = [];
  forget(machine, [...machine.renames]);
}

function forget(machine: Machine, safe: readonly Renamed[]): void {
  for (const { before } of safe) if (before !== null) rmSync(before, { force: true });
  machine.renames = machine.renames.filter((entry) => !safe.includes(entry));
}

/** A real disk for one process, which dies at a certain call to it: that call and all later ones do nothing and never return. */
export interface MortalDisk {
  readonly disk: Disk;
  /** Calls so far. */
  calls(): number;
  readonly died: Promise<void>;
  /** What died writes nothing more. Ends it now if nothing did before; a power cut takes back what was not made durable. */
  bury(death: Death): Promise<void>;
}

export interface Undo {
  path: string;
  position: number;
  bytes: Buffer;
  sizeBytes: number;
}
export interface Renamed {
  from: string;
  to: string;
  /** Copy of what had the name before. */
  before: string | null;
}

/** Turns of the event loop that making something durable takes, unless something is written before. */
const SYNC_TURNS = 300;

/**
 * @param lastCall the call at which the process dies; of a write some bytes may still go out
 * @param share of the bytes of that last write, and chance of each undurable change to be lost at a power cut; 0 to 1
 */
export function createMortalDisk(machine: Machine, lastCall: number, share: number): MortalDisk {
  const real = createNodeDisk();
  let count = 0;
  let isDead = false;
  let announce = (): void => {};
  const died = new Promise<void>((resolve) => {
    announce = resolve;
  });
  const never = new Promise<never>(() => {});
  const opened = new Set<DiskFile>();
  const underWay = new Set<Promise<unknown>>();
  /** The operating system finishes what it was told, whoever died. */
  const told = async <R>(work: Promise<R>): Promise<R> => {
    underWay.add(work);
    try {
      return await work;
    } finally {
      underWay.delete(work);
    }
  };

  const die = (): Promise<never> => {
    isDead = true;
    announce();
    return never;
  };
  /** True when this call is still made. */
  const lives = (): boolean => {
    count += 1;
    return !isDead && count < lastCall;
  };
  const guard =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (!lives()) return die();
      const result = await told(call(...args));
      // What had begun before the end may be done, but nobody is there to hear of it.
      return isDead ? never : result;
    };

  const wrap = (path: string, file: DiskFile): DiskFile => {
    let written = 0;
    const remember = (position: number, length: number): void => {
      const fd = openSync(path, 'r');
      try {
        const bytes = Buffer.alloc(length);
        const got = readSync(fd, bytes, 0, length, position);
        machine.undo.push({ path, position, bytes: bytes.subarray(0, got), sizeBytes: fstatSync(fd).size });
      } finally {
        closeSync(fd);
      }
    };
    const write = async (buffers: readonly Uint8Array[], position: number): Promise<void> => {
      const whole = Buffer.concat(buffers);
      const isLast = !lives();
      if (isDead) return never;
      const data = isLast ? whole.subarray(0, Math.floor(whole.length * share)) : whole;
      remember(position, data.length);
      await told(file.write(data, position));
      written += 1;
      return isLast ? die() : isDead ? never : undefined;
    };
    const durable = (sync: () => Promise<void>) => async (): Promise<void> => {
      // Only what was written before the call is promised.
      const covered = new Set(machine.undo.filter((entry) => entry.path === path));
      await sync();
      // A disk takes its time, and more is written in it; here it would hardly ever happen.
      const before = written;
      for (let turn = 0; turn < SYNC_TURNS && written === before; turn += 1) await new Promise(setImmediate);
      machine.undo = machine.undo.filter((entry) => !covered.has(entry));
    };
    opened.add(file);
    return {
      ...file,
      write: (data, position) => write([data], position),
      writeAll: write,
      read: guard((target, position) => file.read(target, position)),
      truncate: guard((sizeBytes) => file.truncate(sizeBytes)),
      sync: guard(durable(() => file.sync())),
      syncData: guard(durable(() => file.syncData())),
      setModified: guard((mtimeMs) => file.setModified(mtimeMs)),
      // Closed in any case: the test's own process lives on.
      close: async () => {
        opened.delete(file);
        await file.close();
        return isDead ? never : undefined;
      },
    };
  };

  const guarded = Object.fromEntries(
    Object.entries(real).map(([name, call]) => [
      name,
      guard(call as (...args: unknown[]) => Promise<unknown>),
    ]),
  ) as unknown as Disk;
  const disk: Disk = {
    ...guarded,
    open: guard(async (path, mode) => wrap(path, await real.open(path, mode))),
    rename: guard(async (from, to) => {
      // Not beside it, where nothing may be left over.
      const before = existsSync(to) ? join(tmpdir(), `wikiseed-before-${randomUUID()}`) : null;
      if (before !== null) copyFileSync(to, before);
      await real.rename(from, to);
      machine.renames.push({ from, to, before });
      for (const entry of machine.undo) if (entry.path === from) entry.path = to;
    }),
    syncDirectory: guard(async (path) => {
      await real.syncDirectory(path);
      forget(
        machine,
        machine.renames.filter(({ to }) => dirname(to) === path),
      );
    }),
  };
  return {
    disk,
    calls: () => count,
    died,
    async bury(death) {
      isDead = true;
      announce();
      await Promise.allSettled(underWay);
      for (const file of opened) await file.close();
      if (death === 'power cut') {
        const chance = lots(share);
        for (const entry of machine.undo.toReversed()) {
          if (!chance() || !existsSync(entry.path)) continue;
          takeBack(entry);
          machine.lostWrites += 1;
        }
        // A journal keeps the order: what came after a lost change is lost too.
        for (const { from, to, before } of chance() ? machine.renames.toReversed() : []) {
          if (existsSync(to)) renameSync(to, from);
          if (before !== null) copyFileSync(before, to);
        }
        flush(machine);
      }
    },
  };
}

function takeBack({ path, position, bytes, sizeBytes }: Undo): void {
  const fd = openSync(path, 'r+');
  try {
    writeSync(fd, bytes, 0, bytes.length, position);
    if (fstatSync(fd).size > sizeBytes) ftruncateSync(fd, sizeBytes);
  } finally {
    closeSync(fd);
  }
}

/** The same draws for the same share. */
function lots(share: number): () => boolean {
  let state = Math.floor(share * 2 ** 31) | 1;
  return () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    return ((state >>> 8) & 0xffff) / 0x10000 < 0.3 + share * 0.7;
  };
}
