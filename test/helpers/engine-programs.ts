import { pbkdf2Sync } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHttp, createSystemClock } from '../../src/ports/index.ts';
import type { EngineDriver } from '../../src/seeding/engines/driver.ts';
import { createQbittorrent } from '../../src/seeding/engines/qbittorrent.ts';
import { createTransmission } from '../../src/seeding/engines/transmission.ts';
import { type Lifetime, type Program, until } from './clients/lifetime.ts';
import type { Namespace } from './clients/namespace.ts';
import { freePort } from './clients/ports.ts';
import { writeQbittorrentProfile } from './clients/qbittorrent.ts';

/*
 * Real seeding programs with settings of their own, that a test may end and start again.
 */

export const LOGIN = { username: 'keeper', password: 'correct horse' };

export interface EngineProgram {
  /** A driver that comes in with that password. */
  driver(options?: { password?: string; byMessageMaxBytes?: number }): EngineDriver;
  /** Ends it as its service would, and waits. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

const http = createHttp({ userAgent: 'WikiSeed/test', clock: createSystemClock() });
const never = new AbortController().signal;

/** Starts it, and knows how to do so again. */
async function running(
  lifetime: Lifetime,
  launch: () => Program,
  driver: EngineProgram['driver'],
): Promise<EngineProgram> {
  let program: Program | null = null;
  const self: EngineProgram = {
    driver,
    async start() {
      const started = launch();
      program = started;
      await until('the program answers', async () => (await driver().peersPort(never)) !== null, {
        told: started.output,
      });
    },
    async stop() {
      const child = program?.child;
      program = null;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
    },
  };
  lifetime.add(() => self.stop());
  await self.start();
  return self;
}

/** Nobody, where we are root: what a seeding program may do to files of other users is part of what is tested. */
const USER = 65_534;

/** What goes before a command that has a folder of its own and nothing else. */
function asAnotherUser(folder: string, { isRoot }: { isRoot: boolean }): string[] {
  if (isRoot || process.getuid?.() !== 0) return [];
  for (const name of ['.', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })])
    chownSync(join(folder, name), USER, USER);
  return ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'];
}

/** qbittorrent-nox on all addresses for peers, on loopback for us. */
export async function qbittorrentProgram(
  lifetime: Lifetime,
  options: {
    isRoot: boolean;
    /** Folders that it watches, and where the content of what it finds there is. */
    watched?: Readonly<Record<string, string>>;
  },
): Promise<EngineProgram> {
  const profile = lifetime.folder();
  const [web, peers] = [await freePort(), await freePort()];
  const salt = Buffer.alloc(16, 7);
  const hash = pbkdf2Sync(LOGIN.password, salt, 100_000, 64, 'sha512');
  writeQbittorrentProfile(profile, {
    ...{ web, peers },
    session: ['RefreshInterval=100', `DefaultSavePath=${join(profile, 'downloads')}`],
    preferences: [
      'LocalHostAuth=true',
      `Username=${LOGIN.username}`,
      `Password_PBKDF2="@ByteArray(${salt.toString('base64')}:${hash.toString('base64')})"`,
    ],
  });
  const watched = Object.entries(options.watched ?? {}).map(([folder, save_path]) => [
    folder,
    { recursive: false, add_torrent_params: { save_path, use_auto_tmm: false, content_layout: 'Original' } },
  ]);
  writeFileSync(
    join(profile, 'qBittorrent', 'config', 'watched_folders.json'),
    JSON.stringify(Object.fromEntries(watched)),
  );
  return running(
    lifetime,
    () => {
      const [command, ...args] = [
        ...asAnotherUser(profile, options),
        'qbittorrent-nox',
        `--profile=${profile}`,
      ];
      return lifetime.program(command!, args, { HOME: profile });
    },
    ({ password = LOGIN.password } = {}) =>
      createQbittorrent({
        http,
        access: {
          ...{ url: `http://127.0.0.1:${web}/`, username: LOGIN.username, password },
          uploadLimitBytesPerSecond: 50_000_000,
        },
      }),
  );
}

/** transmission-daemon in a network of its own: it refuses peers on loopback. */
export async function transmissionProgram(
  lifetime: Lifetime,
  namespace: Namespace,
  options: { isRoot: boolean },
): Promise<EngineProgram> {
  const folder = lifetime.folder();
  const [command, ...before] = namespace.prefix;
  const port = await freePort();
  const settings = {
    ...{ 'rpc-port': port, 'rpc-bind-address': '0.0.0.0', 'rpc-whitelist-enabled': false },
    ...{
      'rpc-authentication-required': true,
      'rpc-username': LOGIN.username,
      'rpc-password': LOGIN.password,
    },
    ...{ 'dht-enabled': false, 'lpd-enabled': false, 'pex-enabled': false, 'utp-enabled': false },
    ...{
      'port-forwarding-enabled': false,
      'peer-port': await freePort(),
      'download-dir': join(folder, 'downloads'),
    },
    'download-queue-enabled': false,
  };
  writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings));
  return running(
    lifetime,
    () => {
      const inside = [
        ...asAnotherUser(folder, options),
        'transmission-daemon',
        '--foreground',
        `--config-dir=${folder}`,
      ];
      return lifetime.program(command!, [...before, ...inside], { HOME: folder });
    },
    ({ password = LOGIN.password, byMessageMaxBytes } = {}) =>
      createTransmission({
        http,
        access: {
          ...{ url: `http://${namespace.innerAddress}:${port}`, username: LOGIN.username, password },
          uploadLimitBytesPerSecond: 50_000_000,
        },
        ...(byMessageMaxBytes === undefined ? {} : { byMessageMaxBytes }),
      }),
  );
}
