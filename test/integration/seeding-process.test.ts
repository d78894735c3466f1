import { fork, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { minutes, seconds } from '../../src/lib/index.ts';
import { isAlive, openFilesOf, seedersOf } from '../helpers/child-processes.ts';
import { embeddedSeeder, specOf } from '../helpers/embedded-seeder.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { libtorrentGet, libtorrentPython } from '../helpers/libtorrent.ts';
import { makePlainTorrent } from '../helpers/plain-torrent.ts';
import { recordingLog } from '../helpers/seeding-bundle.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';
import { startWikiseed, writeConfig } from '../helpers/with-process.ts';

/*
 * Goal: the seeder's process comes and goes with the program, whoever of the two is killed; and without a native library the rest goes on.
 * Method: real processes, SIGKILL, and what /proc says of them.
 */

const python = libtorrentPython();
const SCRIPT = join(import.meta.dirname, '..', '..', 'dist', 'seeding', 'seeder.worker.js');
const SETTINGS = {
  ...{ port: 0, host: '127.0.0.1', maxConnections: 20, dht: false, lsd: false, utPex: false },
  ...{ uploadLimitBytesPerSecond: null, userAgent: 'WikiSeed/test' },
};

function torrentOnDisk() {
  const contentRoot = temporaryFolder();
  mkdirSync(join(contentRoot, 'served'));
  const bytes = randomBytes(700_001);
  writeFileSync(join(contentRoot, 'served', 'dump.bz2'), bytes);
  const files = [{ path: 'dump.bz2', sizeBytes: bytes.length }];
  return { torrent: makePlainTorrent({ contentRoot, name: 'served', pieceLength: 2 ** 16, files }), bytes };
}

/** Rejects when one of them is taken. */
async function takePort(port: number): Promise<void> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
  const socket = createSocket('udp4').bind(port, '127.0.0.1');
  await once(socket, 'listening');
  socket.close();
}

describe('the process of the seeder', () => {
  it.skipIf(python === null)('is replaced when it is killed, and everything is served again', async () => {
    const { torrent, bytes } = torrentOnDisk();
    const { log, entries, next } = recordingLog();
    const { seeder } = embeddedSeeder({ log, settings: { utp: true } });
    await seeder.start([specOf(torrent)]);
    const [first] = seedersOf(process.pid);
    const died = next('the seeding process ended; starting another');
    const listens = next('listening for peers');
    process.kill(first!, 'SIGKILL');
    await died;
    expect(seeder.port()).toBeNull();
    expect(entries.at(-1)).toMatchObject({
      level: 'error',
      fields: { reason: 'signal SIGKILL', delayMs: 1000 },
    });
    await listens;
    await expect.poll(async () => (await seeder.snapshot())[0]?.state).toBe('seeding');
    const [second, ...others] = seedersOf(process.pid);
    expect([second === first, others]).toEqual([false, []]);
    const target = temporaryFolder();
    const options = { torrentFile: torrent.torrentFile, target, port: seeder.port()! };
    expect(await libtorrentGet(python!, { ...options, wire: 'utp' })).toBe('complete over utp');
    expect(readFileSync(join(target, 'served', 'dump.bz2')).equals(bytes)).toBe(true);
    expect(seeder.restarts()).toBe(1);
  });

  it('that hangs is no longer said to seed, and is replaced after three minutes', async () => {
    const { torrent } = torrentOnDisk();
    const { log, entries, next } = recordingLog();
    const hangClock = new FakeClock();
    const { seeder, problems } = embeddedSeeder({ log, hangClock, settings: { utp: true } });
    await seeder.start([specOf(torrent)]);
    expect(await seeder.snapshot()).toMatchObject([{ state: 'seeding', isReady: true, problem: null }]);
    const [pid] = seedersOf(process.pid);
    process.kill(pid!, 'SIGSTOP');
    await hangClock.advance(minutes(3));
    expect(await seeder.snapshot()).toMatchObject([
      { state: 'checking', isReady: false, problem: 'the seeding client does not answer' },
    ]);
    expect(seeder.restarts()).toBe(0);
    const died = next('the seeding process ended; starting another');
    const listens = next('listening for peers');
    await hangClock.advance(seconds(30));
    await died;
    expect(entries.at(-1)?.fields).toMatchObject({ reason: 'it had not answered for three minutes' });
    expect(isAlive(pid!)).toBe(false);
    await listens;
    await expect.poll(() => seeder.snapshot()).toMatchObject([{ state: 'seeding', problem: null }]);
    expect(problems.size).toBe(0);
  });

  it('that is killed and does not end keeps the program from nothing', async () => {
    const program = join(temporaryFolder(), 'program.mjs');
    writeFileSync(
      program,
      `import { ChildProcess } from 'node:child_process';
      import { openSeederPlace } from ${JSON.stringify(join(SCRIPT, '..', 'seeder-place.js'))};
      const place = openSeederPlace(${JSON.stringify({ ...SETTINGS, utp: true })});
      place.onExit(() => process.exit(2));
      place.onMessage((message) => {
        if (message.kind !== 'listening') return;
        // As it is with a process that waits for a disk.
        ChildProcess.prototype.kill = () => { console.log('killed'); return true; };
        void place.terminate();
      });`,
    );
    const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(said).toBe('killed\n');
  });

  it('is left alone by signals to all, and is gone after a stop in time, answering or not', async () => {
    const { seeder } = embeddedSeeder({ settings: { webrtc: true, utp: true, stunServers: [] } });
    await seeder.start([]);
    const port = seeder.port()!;
    const [pid] = seedersOf(process.pid);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid!, signal);
    expect(await seeder.snapshot()).toEqual([]);
    expect(seeder.restarts()).toBe(0);
    // It hangs.
    process.kill(pid!, 'SIGSTOP');
    const startedAt = performance.now();
    await seeder.stop();
    expect(performance.now() - startedAt).toBeLessThan(8000);
    expect(isAlive(pid!)).toBe(false);
    await takePort(port);
  });

  it('goes with a program that is killed, holds nothing of it, and its port is free', async () => {
    const sandbox = await withSandbox({ wikis: 1, sizeBytes: 100_000 });
    const options = sandboxConfig(sandbox);
    const { seeding } = options.config;
    const config = {
      ...options.config,
      seeding: { ...seeding, utp: true, dht: false, listenHost: '127.0.0.1' },
    };
    const { path, env } = writeConfig({ ...options, config });
    const secret = 'of nobody else';
    const running = startWikiseed(['run', '--config', path], {
      env: { ...env, WIKISEED_ADMIN_TOKEN: secret },
    });
    let log = '';
    running.child.stdout!.on('data', (chunk) => {
      log += chunk;
    });
    const portOf = () => /"port":(\d+)[^\n]*listening for peers/.exec(log)?.[1];
    await expect.poll(portOf).toBeDefined();
    const [pid] = seedersOf(running.child.pid!);
    onTestFinished(() => {
      if (isAlive(pid!)) process.kill(pid!, 'SIGKILL');
    });
    expect(openFilesOf(pid!).filter((file) => file.startsWith(config.wikiseed.dataDir))).toEqual([]);
    // The same way of looking finds it where it is.
    const held = openFilesOf(running.child.pid!);
    expect(held).toContain(join(config.wikiseed.dataDir, 'db', 'lock.db'));
    expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain(secret);
    running.child.kill('SIGKILL');
    await running.ended;
    await expect.poll(() => isAlive(pid!)).toBe(false);
    // Its last threads let go of the port some milliseconds after its first.
    const isFree = () => takePort(Number(portOf())).then(() => true, String);
    await expect.poll(isFree).toBe(true);
    // Nothing but JSON, line by line.
    for (const line of log.trim().split('\n')) expect(() => JSON.parse(line)).not.toThrow();
  });

  it('says why it ended, in the words of what it wrote last', async () => {
    const { log, entries, next } = recordingLog();
    const { seeder } = embeddedSeeder({ log, settings: { utp: true, port: 70_000 } });
    const died = next('the seeding process ended; starting another');
    await seeder.start([]);
    await died;
    expect(JSON.stringify(entries)).toMatch(/exit code 1 \| .*ERR_SOCKET_BAD_PORT/);
  });
});

/** A module that Node loads first, and that lets a package not be found. */
function without(name: string): string {
  const path = join(temporaryFolder(), 'without.cjs');
  writeFileSync(
    path,
    `require('node:module').registerHooks({ resolve(specifier, context, next) {
      if (specifier === ${JSON.stringify(name)}) throw new Error('no binary for this machine\\nRequire stack: ...');
      return next(specifier, context);
    } });`,
  );
  return path;
}

describe('without a native library', () => {
  it.each([
    ['utp-native', 'utp'],
    ['node-datachannel', 'webrtc'],
  ])('%s: it is told, and TCP goes on', async (name, what) => {
    const settings = { ...SETTINGS, utp: true, webrtc: true, stunServers: [] };
    const child = fork(SCRIPT, [JSON.stringify(settings)], {
      ...{ serialization: 'advanced' as const, execArgv: ['--require', without(name)], silent: true },
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const said: { kind: string; port?: number }[] = [];
    child.on('message', (message) => said.push(message as { kind: string }));
    await expect.poll(() => said.length).toBe(2);
    expect(said).toEqual([
      expect.objectContaining({ kind: 'listening', port: expect.any(Number) }),
      { kind: 'lacks', what, code: 'not_loadable', message: 'no binary for this machine' },
    ]);
  });
});
