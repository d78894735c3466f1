import type { LookupFunction } from 'node:net';
import { describe, expect, test } from 'vitest';
import { createHttp, createSystemClock, limitConnectionsPerHost, readBody } from '../../src/ports/index.ts';
import { type Answer, type AnsweringHost, answeringHost } from '../helpers/answering-host.ts';

/**
 * Goal: a mirror may send us to another host for the bytes, but never into a private network.
 * Method: hosts on several loopback addresses, of which 127.0.0.2 and up count as the wide world; names by a lookup of our own.
 */

const WORLD = '127.0.0.2';
const isPublic = (address: string): boolean => /^127\.0\.0\.[2-9]$/.test(address);
const ok: Answer = (_request, response) => void response.end('bytes');

const NAMES: Readonly<Record<string, readonly string[]>> = {
  'inside.example': ['127.0.0.1'],
  'outside.example': ['127.0.0.3'],
  'both.example': ['127.0.0.1', '127.0.0.3'],
};
const lookup: LookupFunction = (hostname, options, callback) => {
  const found = (NAMES[hostname] ?? []).map((address) => ({ address, family: 4 }));
  if (options.all === true) return callback(null, found);
  callback(null, found[0]?.address ?? '', 4);
};

function clientOf(perHost = 2) {
  const facts = { userAgent: 'WikiSeed/test (test@example.org)', clock: createSystemClock() };
  return limitConnectionsPerHost(
    createHttp({ ...facts, isPublic, lookup, connectionsPerHost: perHost }),
    perHost,
  );
}

const redirectTo =
  (location: string): Answer =>
  (_request, response) =>
    void response.writeHead(302, { location }).end('moved');

const follow = async (url: string, http = clientOf()): Promise<string> => {
  const response = await http.request({
    url,
    followOtherHosts: true,
    headers: { range: 'bytes=5-9', 'if-range': '"of the first"', authorization: 'secret' },
  });
  return `${response.url} ${String(await readBody(response, 100))}`;
};

const REFUSED = { name: 'RetryableError', code: 'refused_redirect' };

describe('between hosts of the world', () => {
  test('the range is kept, what belongs to the first host is not', async () => {
    const headers: unknown[] = [];
    const other = await answeringHost((request, response) => {
      headers.push(request.headers);
      response.end('bytes');
    }, '127.0.0.3');
    const asked = await answeringHost(redirectTo(`${other.url}/offload`), WORLD);
    expect(await follow(asked.url)).toBe(`${other.url}/offload bytes`);
    expect(headers).toEqual([expect.objectContaining({ range: 'bytes=5-9', 'accept-encoding': 'identity' })]);
    expect(headers[0]).not.toHaveProperty('if-range');
    expect(headers[0]).not.toHaveProperty('authorization');
    expect(asked.seen).toEqual([expect.objectContaining({ ifRange: '"of the first"' })]);
  });

  test('names are followed, and of several addresses only public ones are used', async () => {
    const other = await answeringHost(ok, '127.0.0.3');
    const { port } = new URL(other.url);
    for (const name of ['outside.example', 'both.example']) {
      const asked = await answeringHost(redirectTo(`http://${name}:${port}/`), WORLD);
      expect(await follow(asked.url)).toBe(`http://${name}:${port}/ bytes`);
    }
    expect(other.seen).toHaveLength(2);
  });

  test('a user name in the address is not sent on', async () => {
    let sent: string | undefined;
    const other = await answeringHost((request, response) => {
      sent = request.headers.authorization;
      response.end('bytes');
    }, '127.0.0.3');
    const asked = await answeringHost(redirectTo(other.url.replace('//', '//user:password@')), WORLD);
    expect(await follow(asked.url)).toBe(`${other.url}/ bytes`);
    expect(sent).toBeUndefined();
  });
});

describe('into a private network', () => {
  const inside = (): Promise<AnsweringHost> => answeringHost(ok, '127.0.0.1');
  const port = (host: AnsweringHost): string => new URL(host.url).port;

  test.each([
    ['an address', '127.0.0.1'],
    ['an address in another spelling', '2130706433'],
    ['an IPv4 address as an IPv6 one', '[::ffff:127.0.0.1]'],
    ['the loopback address', '[::1]'],
    ['a name', 'inside.example'],
  ])('%s is refused', async (_what, name) => {
    const target = await inside();
    const asked = await answeringHost(redirectTo(`http://${name}:${port(target)}/`), WORLD);
    await expect(follow(asked.url)).rejects.toMatchObject(REFUSED);
    expect(asked.seen).toHaveLength(1);
    expect(target.seen).toHaveLength(0);
    expect(target.connections()).toBe(0);
  });

  test('by way of another host', async () => {
    const target = await inside();
    const middle = await answeringHost(redirectTo(target.url), '127.0.0.3');
    const asked = await answeringHost(redirectTo(middle.url), WORLD);
    await expect(follow(asked.url)).rejects.toMatchObject(REFUSED);
    expect([asked, middle, target].map(({ seen }) => seen.length)).toEqual([1, 1, 0]);
  });

  test('over a connection that is open already', async () => {
    const target = await inside();
    const http = clientOf(1);
    const url = `http://inside.example:${port(target)}/`;
    // Named by an operator, so it may be asked.
    await readBody(await http.request({ url }), 100);
    const asked = await answeringHost(redirectTo(url), WORLD);
    await expect(follow(asked.url, http)).rejects.toMatchObject(REFUSED);
    expect(target.seen).toHaveLength(1);
    // The place there is free again.
    await readBody(await http.request({ url }), 100);
  });

  test('is fine for a mirror that is in one itself', async () => {
    const target = await inside();
    const asked = await answeringHost(redirectTo(target.url), '127.0.0.1');
    expect(await follow(asked.url)).toBe(`${target.url}/ bytes`);
    const named = await answeringHost(redirectTo(`http://inside.example:${port(target)}/`), '127.0.0.1');
    expect(await follow(named.url)).toContain('bytes');
  });
});

describe('within a host', () => {
  test('everything is sent on, and a user name that the answer names is not', async () => {
    const seen: unknown[] = [];
    const asked = await answeringHost((request, response) => {
      seen.push([request.url, request.headers.authorization, request.headers['if-range']]);
      if (request.url === '/end') return void response.end('bytes');
      const location = `${asked.url.replace('//', '//user:password@')}/end`;
      response.writeHead(302, { location }).end();
    }, WORLD);
    expect(await follow(asked.url)).toBe(`${asked.url}/end bytes`);
    expect(seen).toEqual([
      ['/', 'secret', '"of the first"'],
      ['/end', 'secret', '"of the first"'],
    ]);
  });

  test('and then to another: it is as private as it was', async () => {
    const target = await answeringHost(ok, '127.0.0.1');
    const asked = await answeringHost((request, response) => {
      const location = request.url === '/' ? '/near' : target.url;
      response.writeHead(302, { location }).end();
    }, WORLD);
    await expect(follow(asked.url)).rejects.toMatchObject(REFUSED);
    const plain = createHttp({ userAgent: 'test', clock: createSystemClock(), isPublic, lookup });
    await expect(follow(asked.url, plain)).rejects.toMatchObject(REFUSED);
    expect([asked.seen.length, target.connections()]).toEqual([4, 0]);
  });

  test('each is told to whoever counts the time', async () => {
    const asked = await answeringHost((request, response) => {
      if (request.url === '/end') return void response.end('bytes');
      response.writeHead(302, { location: '/end' }).end();
    }, WORLD);
    let starts = 0;
    const onStart = (): void => {
      starts += 1;
    };
    await readBody(await clientOf().request({ url: asked.url, onStart }), 100);
    expect(starts).toBe(2);
  });
});

describe('elsewhere', () => {
  test.each(['ftp://127.0.0.3/file', 'file:///etc/passwd'])('%s is refused', async (location) => {
    const asked = await answeringHost(redirectTo(location), WORLD);
    await expect(follow(asked.url)).rejects.toMatchObject(REFUSED);
  });

  test('five in a row are followed, six are not, whoever they lead to', async () => {
    for (const [hops, isFine] of [
      [5, true],
      [6, false],
    ] as const) {
      let left = hops;
      const hosts: AnsweringHost[] = [];
      const bounce: Answer = (_request, response) => {
        left -= 1;
        if (left < 0) return void response.end('bytes');
        // Every second one stays within its host.
        const to = left % 2 === 0 ? '' : (hosts[left % 4 === 1 ? 0 : 1] as AnsweringHost).url;
        response.writeHead(302, { location: `${to}/${left}` }).end();
      };
      hosts.push(await answeringHost(bounce, WORLD), await answeringHost(bounce, '127.0.0.3'));
      const answer = follow(`${hosts[0]?.url}/`);
      if (isFine) expect(await answer).toContain('bytes');
      else await expect(answer).rejects.toMatchObject({ name: 'RetryableError' });
      expect(left).toBe(-1 + (isFine ? 0 : 1));
    }
  });
});
