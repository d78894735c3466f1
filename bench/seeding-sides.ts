import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Client } from '../test/helpers/clients/client.ts';
import { createLifetime, type Lifetime, until } from '../test/helpers/clients/lifetime.ts';
import type { PlainTorrent } from '../test/helpers/plain-torrent.ts';
import { PROGRAM_FLAGS } from './machine.ts';
import type { OursTask } from './seeding-ours.ts';

/*
 * Who gives the bytes, and the one who takes them; all are processes of their own.
 */

/** One round of one side. */
export interface Transferred {
  mbPerSecond: number;
  /** Processor seconds of the one who gives, from just before to just after. */
  cpuSeconds: number;
}

/** Somebody who serves a torrent. */
export interface Side {
  name: string;
  /** Begins to serve; resolves with the process when all of it is offered. */
  serve(torrent: PlainTorrent, lifetime: Lifetime): Promise<ChildProcess>;
}

/** The embedded seeder, started as the daemon is. */
export function ourSide(host: string): Side {
  return {
    name: 'WikiSeed',
    async serve({ infoHash, torrentFile, contentRoot }, lifetime) {
      const task: OursTask = { host, spec: { infoHash, torrentFile, contentRoot } };
      const child = fork(new URL('./seeding-ours.ts', import.meta.url), [JSON.stringify(task)], {
        execArgv: PROGRAM_FLAGS,
      });
      lifetime.add(() => void child.kill('SIGKILL'));
      await Promise.race([
        once(child, 'message'),
        once(child, 'exit').then(() => Promise.reject(new Error('our seeder did not start'))),
      ]);
      return child;
    },
  };
}

/** A client that finds everything there, and goes on giving. */
export function programSide(name: string, start: (lifetime: Lifetime) => Promise<Client>): Side {
  return {
    name,
    async serve({ infoHash, torrentFile, contentRoot }, lifetime) {
      let child: ChildProcess | null = null;
      const client = await start({
        ...lifetime,
        program(...args) {
          const program = lifetime.program(...args);
          child = program.child;
          return program;
        },
      });
      const transfer = await client.get({ torrentFile, infoHash, target: contentRoot });
      await transfer.finished(120_000);
      if (child === null) throw new Error(`${name} is no process`);
      return child;
    },
  };
}

/** Lets one side serve, and aria2c fetch everything from it. `isOffered`: whether the tracker knows of a seeder. */
export async function transfer(
  side: Side,
  torrent: PlainTorrent,
  { target, isOffered }: { target: string; isOffered: () => boolean },
): Promise<Transferred> {
  const lifetime = createLifetime();
  try {
    const giver = await side.serve(torrent, lifetime);
    process.once('exit', () => void giver.kill('SIGKILL'));
    await until(`${side.name} is known to the tracker`, isOffered, { timeoutMs: 60_000 });
    const before = cpuSecondsOf(giver.pid!);
    const began = performance.now();
    await fetchAll(torrent.torrentFile, target);
    const seconds = (performance.now() - began) / 1000;
    return { mbPerSecond: torrent.totalBytes / 1e6 / seconds, cpuSeconds: cpuSecondsOf(giver.pid!) - before };
  } finally {
    await lifetime.end();
  }
}

async function fetchAll(torrentFile: string, target: string): Promise<void> {
  const child = spawn('aria2c', [
    ...[
      `--dir=${target}`,
      '--seed-time=0',
      '--enable-dht=false',
      '--enable-dht6=false',
      '--disable-ipv6=true',
    ],
    ...['--bt-enable-lpd=false', '--enable-peer-exchange=false', '--no-conf=true', '--file-allocation=none'],
    ...[
      '--bt-tracker-interval=1',
      '--bt-stop-timeout=30',
      '--console-log-level=warn',
      '--summary-interval=0',
      '--quiet=true',
    ],
    torrentFile,
  ]);
  child.stdout.resume();
  child.stderr.resume();
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`aria2c ended with ${code}`);
}

/** User and system time of a process, all threads, s; what a namespace command stands for is the process itself. */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  // The kernel counts these in hundredths whatever its own tick is.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
