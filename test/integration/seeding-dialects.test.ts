import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createHttp, createSystemClock } from '../../src/ports/index.ts';
import type { EngineTorrent } from '../../src/seeding/engines/driver.ts';
import { createQbittorrent } from '../../src/seeding/engines/qbittorrent.ts';
import { createTransmission } from '../../src/seeding/engines/transmission.ts';

/*
 * Goal: what other versions of the programs say is understood, too: qBittorrent 5.x, Transmission 4.1, sessions that end, refusals.
 * Method: a scripted server on loopback; the real programs of test/contract speak the older dialects.
 */

const never = new AbortController().signal;
const http = createHttp({ userAgent: 'WikiSeed/test', clock: createSystemClock() });
const HASH = 'ab'.repeat(20);
const TORRENT: EngineTorrent = {
  infoHash: HASH,
  bytes: Buffer.from('d4:infod4:name1:\xffee', 'latin1'),
  torrentFile: '/data/torrents/x.torrent',
  savePath: '/data/torrents',
  fileCount: 3,
};

interface Asked {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}
interface Answer {
  status?: number;
  headers?: Record<string, string>;
  body?: string;
}

async function serve(answer: (asked: Asked) => Answer): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    request.setEncoding('latin1');
    void text(request).then((body) => {
      const one = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body };
      asked.push(one);
      const { status = 200, headers = {}, body: reply = '' } = answer(one);
      response.writeHead(status, headers).end(reply);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const access = (
  url: string,
  password: string | null = 'secret',
  uploadLimitBytesPerSecond: number | null = 2_000_000,
) => ({ ...{ url, username: password === null ? null : 'me', password }, uploadLimitBytesPerSecond });

describe('qBittorrent 5.x', () => {
  const INFO = {
    ...{
      hash: HASH,
      state: 'stoppedUP',
      amount_left: 0,
      progress: 1,
      save_path: '/data/torrents/',
      uploaded: 5,
      upspeed: 1,
    },
    ...{ num_seeds: 0, num_leechs: 2, num_complete: 4, num_incomplete: 7, tracker: 'http://t/announce' },
  };

  /** Answers as 5.2 does: 204 at the login, other words for stopping, 404 for the old ones. */
  async function five(
    options: {
      info?: object;
      isSessionLost?: (asked: Asked) => boolean;
      extension?: boolean;
      forgets?: boolean;
      limit?: number | null;
    } = {},
  ) {
    let logins = 0;
    const server = await serve((asked) => {
      const path = asked.path.replace('/api/v2/', '');
      if (asked.headers.referer === undefined || asked.headers.origin === undefined) return { status: 401 };
      if (path === 'auth/login') {
        logins += 1;
        return { status: 204, headers: { 'set-cookie': `QBT_SID_8080=s${logins}; HttpOnly; path=/` } };
      }
      const session = `QBT_SID_8080=s${logins}`;
      if (logins === 0 || asked.headers.cookie !== session || options.isSessionLost?.(asked) === true)
        return { status: 403, body: 'Forbidden' };
      if (path.startsWith('torrents/info')) return { body: JSON.stringify([{ ...INFO, ...options.info }]) };
      if (path === 'app/preferences')
        return {
          body: JSON.stringify({
            listen_port: 6881,
            incomplete_files_ext: options.extension === true,
            enable_upload_suggestions: options.forgets !== true,
          }),
        };
      if (
        [
          ...['torrents/add', 'torrents/start', 'torrents/stop', 'torrents/delete'],
          ...['torrents/addTags', 'torrents/setUploadLimit'],
          'app/setPreferences',
        ].includes(path)
      )
        return { body: 'Ok.' };
      return { status: 404 };
    });
    return {
      ...server,
      driver: createQbittorrent({ http, access: access(server.url, 'secret', options.limit) }),
      logins: () => logins,
    };
  }

  it('logs in once, takes 204 for an answer, and starts and stops in its words', async () => {
    const { driver, asked, logins } = await five();
    await driver.start(HASH, never);
    await driver.stop(HASH, never);
    expect(logins()).toBe(1);
    expect(asked.map(({ path }) => path)).toEqual(
      ['torrents/start', 'auth/login', 'torrents/start', 'torrents/stop'].map((path) => `/api/v2/${path}`),
    );
  });

  it('logs in anew when the session is gone, once', async () => {
    let isLost = false;
    const { driver, logins } = await five({
      isSessionLost: () => {
        const was = isLost;
        isLost = false;
        return was;
      },
    });
    await driver.look([HASH], never);
    isLost = true;
    await driver.look([HASH], never);
    expect(logins()).toBe(2);
  });

  it('gives up when a fresh session is refused, too', async () => {
    const { driver, logins } = await five({ isSessionLost: () => true });
    await expect(driver.look([HASH], never)).rejects.toMatchObject({ code: 'engine_refused' });
    expect(logins()).toBe(1);
  });

  it('hands over the very bytes, stopped, never to be believed unread, without limits of time', async () => {
    const { driver, asked } = await five();
    await driver.addStopped(TORRENT, never);
    const { body, headers } = asked.findLast(({ path }) => path.endsWith('torrents/add'))!;
    const boundary = /boundary=(.*)/.exec(headers['content-type'] ?? '')![1]!;
    const parts = body.split(`--${boundary}`).slice(1, -1);
    const fields = Object.fromEntries(
      parts.map((part) => {
        const [head = '', value = ''] = part.split('\r\n\r\n');
        return [/name="(\w+)"/.exec(head)?.[1], value.replace(/\r\n$/, '')];
      }),
    );
    expect(fields).toMatchObject({
      ...{ torrents: TORRENT.bytes.toString('latin1'), savepath: '/data/torrents' },
      ...{ paused: 'true', stopped: 'true', autoTMM: 'false', ratioLimit: '-1', seedingTimeLimit: '-1' },
      ...{ contentLayout: 'Original', category: 'wikiseed', tags: 'wikiseed' },
    });
    expect(fields).not.toHaveProperty('skip_checking');
    expect(asked.some(({ path }) => path.endsWith('setPreferences'))).toBe(false);
  });

  it('has it remember that it wants nothing before it is given anything', async () => {
    const { driver, asked } = await five({ forgets: true });
    await driver.addStopped(TORRENT, never);
    const paths = asked.filter(({ headers }) => headers.cookie !== undefined).map(({ path }) => path);
    expect(paths.map((path) => path.replace('/api/v2/', ''))).toEqual([
      ...['app/preferences', 'app/setPreferences', 'torrents/add'],
    ]);
    const { body } = asked.findLast(({ path }) => path.endsWith('setPreferences'))!;
    expect(JSON.parse(new URLSearchParams(body).get('json')!)).toEqual({ enable_upload_suggestions: true });
  });

  it.each([
    [2_000_000, '2000000'],
    // As the configuration says now, whatever it was told before.
    [null, '0'],
  ])('is told how fast it may give (%s), and whose a torrent is that it has already', async (limit, told) => {
    const { driver, asked } = await five({ limit, info: { category: 'mine', tags: 'a, wikiseed' } });
    const view = (await driver.look([HASH], never)).get(HASH)!;
    expect(view.labels).toEqual(['mine', 'a', 'wikiseed']);
    await driver.setUp(view, never);
    const formOf = (word: string) =>
      asked
        .filter(({ path, headers }) => path.endsWith(word) && headers.cookie !== undefined)
        .map(({ body }) => Object.fromEntries(new URLSearchParams(body)));
    expect(formOf('setUploadLimit')).toEqual([{ hashes: HASH, limit: told }]);
    expect(formOf('addTags')).toEqual([]);
    await driver.setUp({ infoHash: HASH, labels: ['mine'] }, never);
    expect(formOf('addTags')).toEqual([{ hashes: HASH, tags: 'wikiseed' }]);
    // It may move the files of a torrent that follows its category.
    expect(asked.some(({ path }) => /category/i.test(path))).toBe(false);
  });

  it('that lists pieces in a form that is not known is no program that is away', async () => {
    const { url } = await serve(() => ({ body: '{"strange": true}' }));
    await expect(
      createQbittorrent({ http, access: access(url) }).wrongFiles(HASH, never),
    ).rejects.toMatchObject({ code: 'engine_rejects' });
  });

  it('is not believed to want nothing when it did not hear it', async () => {
    const { driver } = await five();
    await expect(driver.wantNothing({ infoHash: HASH, fileCount: 3 }, never)).rejects.toMatchObject({
      code: 'engine_rejects',
    });
  });

  it.each([
    [{}, true],
    // Nothing is wanted and not everything is there, or what is wanted is not.
    [{ progress: 0 }, false],
    [{ progress: 0.99, amount_left: 16384 }, false],
  ])('has everything only when it says so twice (%o)', async (info, isWhole) => {
    const { driver } = await five({ info });
    expect((await driver.look([HASH], never)).get(HASH)).toMatchObject({ isWhole });
  });

  it('never asks for files to be deleted', async () => {
    const { driver, asked } = await five();
    await driver.beginAgain(TORRENT, never);
    await driver.remove(HASH, never);
    const deletions = asked.filter(
      ({ path, headers }) => path.endsWith('delete') && headers.cookie !== undefined,
    );
    expect(deletions.map(({ body }) => new URLSearchParams(body).get('deleteFiles'))).toEqual([
      'false',
      'false',
    ]);
  });

  it('refuses a program that would rename stored files', async () => {
    const { driver } = await five({ extension: true });
    await expect(driver.addStopped(TORRENT, never)).rejects.toMatchObject({
      code: 'engine_refused',
      hint: expect.stringContaining('.!qB'),
    });
  });

  it.each([
    ['stoppedUP', 'stopped'],
    ['stoppedDL', 'stopped'],
    ['forcedDL', 'downloading'],
    ['metaDL', 'downloading'],
    ['forcedMetaDL', 'downloading'],
    ['queuedDL', 'downloading'],
    ['downloading', 'downloading'],
    ['checkingDL', 'checking'],
    ['moving', 'checking'],
    ['forcedUP', 'seeding'],
    ['queuedUP', 'seeding'],
    ['missingFiles', 'failed'],
    ['something new', 'failed'],
  ])('takes %s for %s', async (state, expected) => {
    const { driver } = await five({ info: { state } });
    expect((await driver.look([HASH], never)).get(HASH)?.state).toBe(expected);
  });

  it.each([
    ['a tracker counts us, too', {}, { seeders: 4, leechers: 7 }],
    ['seeding', { state: 'uploading' }, { seeders: 3, leechers: 7 }],
    ['no tracker answers', { tracker: '' }, { seeders: null, leechers: null }],
    ['a tracker does not say', { num_complete: -1, num_incomplete: -1 }, { seeders: null, leechers: null }],
  ])('counts the swarm: %s', async (_what, info, expected) => {
    const { driver } = await five({ info });
    expect((await driver.look([HASH], never)).get(HASH)).toMatchObject(expected);
  });

  it.each([
    ['a ban', { status: 403, body: 'banned' }, 'banned this address'],
    ['a wrong password of 4.x', { status: 200, body: 'Fails.' }, 'refuses this user or password'],
    ['a wrong password of 5.2', { status: 401 }, 'refuses this user or password'],
  ])('tells %s plainly', async (_what, login, message) => {
    const { url } = await serve(({ path }) => (path.endsWith('login') ? login : { status: 403 }));
    const driver = createQbittorrent({ http, access: access(url) });
    await expect(driver.look([HASH], never)).rejects.toMatchObject({
      code: 'engine_refused',
      message: expect.stringContaining(message),
      hint: expect.stringContaining('QBITTORRENT_PASSWORD'),
    });
  });

  it('comes in with a key instead of a login', async () => {
    const { url, asked } = await serve(() => ({ body: '[]' }));
    await createQbittorrent({ http, access: access(url, 'qbt_1234') }).look([HASH], never);
    expect(asked.map(({ path, headers }) => [path, headers.authorization])).toEqual([
      [`/api/v2/torrents/info?hashes=${HASH}`, 'Bearer qbt_1234'],
    ]);
  });

  it('names what is missing when it asks for a login and we have none', async () => {
    const { url } = await serve(() => ({ status: 403 }));
    await expect(
      createQbittorrent({ http, access: access(url, null) }).look([HASH], never),
    ).rejects.toMatchObject({
      hint: expect.stringContaining('Set QBITTORRENT_USERNAME'),
    });
  });
});

describe('Transmission 4.1', () => {
  const SEMVER = '6.0.0';
  const FOUND = {
    ...{
      hash_string: HASH,
      status: 6,
      error: 0,
      error_string: '',
      have_valid: 10,
      have_unchecked: 0,
      total_size: 10,
    },
    ...{ uploaded_ever: 3, rate_upload: 2, peers_connected: 1, download_dir: '/data/torrents' },
    labels: ['linux'],
    tracker_stats: [
      { seeder_count: -1, leecher_count: -1 },
      { seeder_count: 5, leecher_count: 0 },
    ],
  };

  /** Answers the old dialect only to say which version it is. */
  async function fourOne(
    options: {
      refusesSessions?: number;
      error?: object;
      byMessageMaxBytes?: number;
      limit?: number | null;
    } = {},
  ) {
    let session = 0;
    let left = options.refusesSessions ?? 1;
    const calls: { method: string; params: Record<string, unknown> }[] = [];
    const server = await serve(({ body, headers }) => {
      if (headers['x-transmission-session-id'] !== `s${session}` || left > 0) {
        left -= 1;
        session += 1;
        return { status: 409, headers: { 'X-Transmission-Session-Id': `s${session}` } };
      }
      const asked = JSON.parse(body);
      if (asked.jsonrpc === undefined)
        return {
          body: JSON.stringify({
            result: 'success',
            arguments: { 'rpc-version': 18, 'rpc-version-semver': SEMVER },
          }),
        };
      calls.push(asked);
      if (options.error !== undefined)
        return { body: JSON.stringify({ jsonrpc: '2.0', id: 1, error: options.error }) };
      const result =
        asked.method === 'torrent_get'
          ? { torrents: [FOUND] }
          : asked.method === 'session_get'
            ? { peer_port: 51413 }
            : {};
      return { body: JSON.stringify({ jsonrpc: '2.0', id: asked.id, result }) };
    });
    const { byMessageMaxBytes } = options;
    const loseSession = () => {
      session += 1;
    };
    const driver = createTransmission({
      ...{ http, access: access(server.url, 'secret', options.limit) },
      ...(byMessageMaxBytes === undefined ? {} : { byMessageMaxBytes }),
    });
    return { ...server, calls, driver, loseSession };
  }

  it('is spoken to in its own dialect, and its numbers are understood', async () => {
    const { driver, calls } = await fourOne();
    const view = (await driver.look([HASH], never)).get(HASH)!;
    expect(view).toMatchObject({
      ...{
        state: 'seeding',
        isWhole: true,
        savePath: '/data/torrents',
        labels: ['linux'],
        seeders: 4,
        leechers: 0,
        message: null,
      },
    });
    await driver.wantNothing(TORRENT, never);
    await driver.setUp(view, never);
    await driver.remove(HASH, never);
    expect(await driver.peersPort(never)).toBe(51413);
    expect(calls.map(({ method }) => method)).toEqual([
      'torrent_get',
      'torrent_set',
      'torrent_set',
      'torrent_remove',
      'session_get',
    ]);
    expect(calls[0]!.params.fields).toContain('hash_string');
    expect(calls[1]!.params).toEqual({ ids: [HASH], files_unwanted: [] });
    // The operator's own labels stay.
    expect(calls[2]!.params).toEqual({
      ...{ ids: [HASH], seed_ratio_mode: 2, seed_idle_mode: 2, labels: ['linux', 'wikiseed'] },
      ...{ upload_limited: true, upload_limit: 2000 },
    });
    expect(calls[3]!.params).toEqual({ ids: [HASH], delete_local_data: false });
  });

  it('is given a .torrent as a message, and the name of one that is too large', async () => {
    const small = await fourOne();
    await small.driver.addStopped(TORRENT, never);
    expect(small.calls[0]!.params).toEqual({
      ...{ metainfo: TORRENT.bytes.toString('base64'), download_dir: '/data/torrents', paused: true },
    });
    const large = await fourOne({ byMessageMaxBytes: 5 });
    await large.driver.addStopped(TORRENT, never);
    expect(large.calls[0]!.params).toEqual({
      ...{ filename: '/data/torrents/x.torrent', download_dir: '/data/torrents', paused: true },
    });
  });

  it('is told that there is no limit any more, and is not marked twice', async () => {
    const { driver, calls } = await fourOne({ limit: null });
    await driver.setUp({ infoHash: HASH, labels: ['wikiseed'] }, never);
    expect(calls[0]!.params).toEqual({
      ...{ ids: [HASH], seed_ratio_mode: 2, seed_idle_mode: 2, upload_limited: false },
    });
  });

  it('may end a session at any time', async () => {
    const { driver, loseSession, calls } = await fourOne({ refusesSessions: 2 });
    await driver.start(HASH, never);
    loseSession();
    await driver.stop(HASH, never);
    expect(calls.map(({ method }) => method)).toEqual(['torrent_start', 'torrent_stop']);
  });

  it('that never gives a session is not asked for ever', async () => {
    const { driver, asked } = await fourOne({ refusesSessions: 1000 });
    await expect(driver.start(HASH, never)).rejects.toMatchObject({ code: 'engine_down' });
    expect(asked.length).toBe(4);
  });

  it('says why it refuses something', async () => {
    const { driver } = await fourOne({
      error: { code: 2, message: 'x', data: { error_string: 'unrecognized info' } },
    });
    await expect(driver.addStopped(TORRENT, never)).rejects.toMatchObject({
      code: 'engine_rejects',
      message: expect.stringContaining('x: unrecognized info'),
    });
  });

  it.each([
    [401, 'TRANSMISSION_PASSWORD'],
    [403, 'rpc-whitelist'],
    [421, 'rpc-host-whitelist'],
  ])('is not asked again after %i, and the hint names %s', async (status, hint) => {
    const { url } = await serve(() => ({ status }));
    await expect(createTransmission({ http, access: access(url) }).look([HASH], never)).rejects.toMatchObject(
      {
        code: 'engine_refused',
        hint: expect.stringContaining(hint),
      },
    );
  });

  it('is not confused with the page of a proxy', async () => {
    const { url } = await serve(() => ({ body: '<html>' }));
    await expect(createTransmission({ http, access: access(url) }).look([HASH], never)).rejects.toMatchObject(
      {
        code: 'engine_down',
      },
    );
  });
});
