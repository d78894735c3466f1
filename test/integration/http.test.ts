import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Interrupted } from '../../src/lib/index.ts';
import { createHttp, createSystemClock, limitConnectionsPerHost, readBody } from '../../src/ports/index.ts';
import { eventually } from '../helpers/eventually.ts';

/**
 * Goal: an answer comes from the host that was asked, or from nobody.
 * Method: two servers on loopback, whose ports make them different origins, behind the real client.
 */

const http = createHttp({ userAgent: 'WikiSeed/test (+test@example.org)', clock: createSystemClock() });

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function setup() {
  let otherRequests = 0;
  const other = await serve((_request, response) => {
    otherRequests += 1;
    response.end('from another host');
  });
  const asked = await serve((request, response) => {
    const location = {
      '/foreign': `${other}/portal`,
      '/hop': '/foreign',
      '/near': '/end',
      '/absolute': `http://${request.headers.host}/end`,
      '/loop': '/loop',
    }[request.url ?? ''];
    if (location === undefined) return void response.end('from the host itself');
    response.writeHead(302, { location }).end();
  });
  return { asked, other, otherRequests: () => otherRequests };
}

test.each(['/foreign', '/hop'])('refuses a redirect to another host: %s', async (path) => {
  const { asked, other, otherRequests } = await setup();
  // One connection for each host: a refused answer must give its slot back.
  const limited = limitConnectionsPerHost(http, 1);
  for (let round = 0; round < 2; round += 1) {
    const error = await limited.request({ url: `${asked}${path}` }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'RetryableError', code: 'foreign_redirect' });
    expect(String(error)).toContain(new URL(asked).host);
    expect(String(error)).toContain(new URL(other).host);
  }
  expect(otherRequests()).toBe(0);
});

test('follows it when the request allows it', async () => {
  const { asked, other } = await setup();
  const response = await http.request({ url: `${asked}/foreign`, followOtherHosts: true });
  expect(response.url).toBe(`${other}/portal`);
  expect(String(await readBody(response, 100))).toBe('from another host');
});

test.each(['/near', '/absolute'])('follows a redirect within the host: %s', async (path) => {
  const { asked } = await setup();
  const response = await http.request({ url: `${asked}${path}` });
  expect(response).toMatchObject({ status: 200, url: `${asked}/end` });
  expect(String(await readBody(response, 100))).toBe('from the host itself');
});

test('gives up on a circle of redirects', async () => {
  const { asked } = await setup();
  await expect(http.request({ url: `${asked}/loop` })).rejects.toMatchObject({
    name: 'RetryableError',
    code: 'refused_redirect',
    message: expect.stringContaining('more than 5 in a row'),
  });
});

test('a posted form is not posted again to where it leads, unless the answer asks for that', async () => {
  const seen: string[] = [];
  const asked = await serve((request, response) => {
    request.setEncoding('utf8');
    let body = '';
    request.on('data', (text) => {
      body += text;
    });
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${body}`);
      if (request.url === '/end') return void response.end('end');
      response.writeHead(Number(request.url?.slice(1)), { location: '/end' }).end();
    });
  });
  for (const status of [302, 303, 307]) {
    const response = await http.request({ url: `${asked}/${status}`, method: 'POST', body: 'x=1' });
    expect(String(await readBody(response, 100))).toBe('end');
  }
  expect(seen).toEqual([
    ...['POST /302 x=1', 'GET /end '],
    ...['POST /303 x=1', 'GET /end '],
    ...['POST /307 x=1', 'POST /end x=1'],
  ]);
});

test('an answer of another kind is handed on, whatever address it names', async () => {
  const asked = await serve((_request, response) => void response.writeHead(304, { location: '/x' }).end());
  expect(await http.request({ url: asked })).toMatchObject({ status: 304 });
});

describe('a request that waits for a connection', () => {
  /** A host whose one connection is taken until `free`. */
  async function taken() {
    const paths: string[] = [];
    const url = await serve((request, response) => {
      paths.push(request.url ?? '');
      if (request.url !== '/download') return void response.end('small');
      response.writeHead(200, { 'content-length': '1000000' }).write('x');
    });
    const limited = limitConnectionsPerHost(http, 1);
    const download = await limited.request({ url: `${url}/download` });
    return { url, limited, paths, free: () => download.discard() };
  }

  test('ends with its signal and not with what it waits for; nothing of it goes out', {
    timeout: 15_000,
  }, async () => {
    const { url, limited, paths, free } = await taken();
    const over = new AbortController();
    let starts = 0;
    const onStart = (): void => {
      starts += 1;
    };
    const looks = ['/a', '/b'].map((path) =>
      limited.request({ url: `${url}${path}`, signal: over.signal, onStart }),
    );
    const patient = limited.request({ url: `${url}/patient` });
    over.abort();
    for (const look of looks) await expect(look).rejects.toBeInstanceOf(Interrupted);
    await expect(limited.request({ url: `${url}/c`, signal: over.signal })).rejects.toBeInstanceOf(
      Interrupted,
    );
    expect(paths).toEqual(['/download']);
    free();
    expect(String(await readBody(await patient, 100))).toBe('small');
    expect([paths, starts]).toEqual([['/download', '/patient'], 0]);
  });

  test('keeps its answer when its signal aborts after that', async () => {
    const { url, limited, free } = await taken();
    const over = new AbortController();
    const asked = limited.request({ url: `${url}/a`, signal: over.signal });
    free();
    expect(String(await readBody(await asked, 100))).toBe('small');
    over.abort();
    expect(String(await readBody(await limited.request({ url: `${url}/b` }), 100))).toBe('small');
  });
});

describe('bodies without an end', () => {
  /** Sends until nobody takes more, at most 64 MiB; `sent` counts what the wire took. */
  async function endless(head: (url: string) => [number, Record<string, string>]) {
    const facts = { sent: 0, open: 0, requests: 0 };
    const chunk = Buffer.alloc(1 << 20, 'x');
    const url = await serve((request, response) => {
      facts.open += 1;
      facts.requests += 1;
      response.on('close', () => {
        facts.open -= 1;
      });
      response.on('error', () => {});
      response.writeHead(...head(request.url ?? ''));
      let left = 64;
      const send = (): void => {
        if (left === 0 || response.destroyed) return;
        left -= 1;
        response.write(chunk, () => {
          facts.sent += chunk.length;
          send();
        });
      };
      send();
    });
    return { url, facts };
  }

  test.each([
    ['a circle', (url: string) => `${url}1`, /more than 5 in a row/, 6],
    ['an address that cannot be read', () => 'http://[::1', /leads to an address that cannot be read/, 1],
    ['another host', () => 'http://127.0.0.9:1/', /which was not asked/, 1],
  ])('of a redirect to %s are not read', async (_what, location, message, requests) => {
    const { url, facts } = await endless((path) => [302, { location: location(path) }]);
    const limited = limitConnectionsPerHost(http, 1);
    for (let round = 1; round <= 2; round += 1) {
      await expect(limited.request({ url: `${url}/` })).rejects.toMatchObject({
        name: 'RetryableError',
        message: expect.stringMatching(message),
      });
      expect(facts.requests).toBe(round * requests);
    }
    await eventually(() => expect(facts.open).toBe(0));
    // What the buffers of the sockets took.
    expect(facts.sent).toBeLessThan(facts.requests * (12 << 20));
  });

  test('of an error are cut, and of anything else refused', async () => {
    for (const [status, most] of [
      [500, 65_536],
      [200, null],
    ] as const) {
      const { url, facts } = await endless(() => [status, {}]);
      const body = readBody(await http.request({ url }), 1 << 20);
      if (most === null) await expect(body).rejects.toMatchObject({ code: 'too_large' });
      else expect((await body).length).toBe(most);
      await eventually(() => expect(facts.open).toBe(0));
      expect(facts.sent).toBeLessThan(16 << 20);
    }
  });
});
