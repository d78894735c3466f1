import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createHttp, createSystemClock, limitConnectionsPerHost, readBody } from '../../src/ports/index.ts';

/**
 * Goal: a host's budget holds for whatever reaches it: directly, through redirects, over connections that are kept open.
 * Method: servers on loopback that hold every answer until they are told, and count.
 */

interface Held {
  url: string;
  /** Most requests at a time, and most open connections. */
  most: { requests: number; sockets: number };
  waiting: ServerResponse[];
  whenWaiting(count: number): Promise<void>;
}

async function holding(
  answer?: (request: IncomingMessage, response: ServerResponse) => boolean,
): Promise<Held> {
  const sockets = new Set<Socket>();
  const waiting: ServerResponse[] = [];
  const most = { requests: 0, sockets: 0 };
  let told: (() => void)[] = [];
  const server = createServer((request, response) => {
    if (answer?.(request, response) === true) return;
    waiting.push(response);
    most.requests = Math.max(most.requests, waiting.length);
    for (const tell of told) tell();
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    most.sockets = Math.max(most.sockets, sockets.size);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    most,
    waiting,
    whenWaiting: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (waiting.length < count) return;
          told = told.filter((each) => each !== look);
          resolve();
        };
        told.push(look);
        look();
      }),
  };
}

/** `connectionsPerHost` is left away where the budget of requests has to do it alone. */
function clientOf(perHost: number, options: { connectionsPerHost?: number } = {}) {
  const facts = { userAgent: 'WikiSeed/test (test@example.org)', clock: createSystemClock() };
  return limitConnectionsPerHost(createHttp({ ...facts, ...options }), perHost);
}

test.each([1, 2])('redirects to another host count there, with a budget of %i', async (perHost) => {
  const other = await holding();
  let redirected = 0;
  const asked = await holding((request, response) => {
    redirected += 1;
    response.writeHead(302, { location: `${other.url}${request.url}` }).end('moved');
    return true;
  });
  const http = clientOf(perHost);
  const read = async (url: string): Promise<string> => {
    const response = await http.request({ url, followOtherHosts: true });
    return `${response.url} ${String(await readBody(response, 100))}`;
  };
  const answers = [1, 2, 3, 4].map((n) => read(`${asked.url}/${n}`));
  answers.push(read(`${other.url}/5`));
  // Whatever would come too much has had the time to, once others have come and gone.
  const elsewhere = await holding((_request, response) => {
    response.end();
    return true;
  });
  await other.whenWaiting(perHost);
  while (redirected < perHost) await readBody(await http.request({ url: elsewhere.url }), 10);
  for (let turn = 0; turn < 5; turn += 1) await readBody(await http.request({ url: elsewhere.url }), 10);
  for (let left = answers.length; left > 0; left -= 1) {
    await other.whenWaiting(Math.min(perHost, left));
    other.waiting.shift()?.end('bytes');
  }
  const urls = await Promise.all(answers);
  expect(urls).toEqual([1, 2, 3, 4, 5].map((n) => `${other.url}/${n} bytes`));
  expect(redirected).toBe(4);
  expect(other.most.requests).toBe(perHost);
});

test('a chain of redirects between hosts ends', async () => {
  let requests = 0;
  const urls: string[] = [];
  const bounce = async (to: 0 | 1) => {
    const { url } = await holding((_request, response) => {
      requests += 1;
      response.writeHead(302, { location: `${urls[to]}/again` }).end();
      return true;
    });
    urls.push(url);
  };
  await bounce(1);
  await bounce(0);
  await expect(
    clientOf(2).request({ url: `${urls[0]}/`, followOtherHosts: true, maxRedirects: 3 }),
  ).rejects.toMatchObject({ code: expect.stringMatching(/^(foreign_redirect|network|refused_redirect)$/) });
  expect(requests).toBeLessThanOrEqual(4);
});

test('an answer that is thrown away gives its place to the next, and one that is kept open keeps it', async () => {
  const host = await holding();
  const http = clientOf(1);
  const first = http.request({ url: `${host.url}/first` });
  await host.whenWaiting(1);
  host.waiting.shift()?.writeHead(200, { 'content-length': '10' }).write('half ');
  const kept = await first;
  const second = http.request({ url: `${host.url}/second` });
  // A whole turn of requests to another host passes while the first body is open.
  const elsewhere = await holding((_request, response) => {
    response.end();
    return true;
  });
  for (let turn = 0; turn < 3; turn += 1) await readBody(await http.request({ url: elsewhere.url }), 10);
  expect(host.waiting).toHaveLength(0);
  kept.discard();
  await host.whenWaiting(1);
  host.waiting.shift()?.end('ok');
  expect(String(await readBody(await second, 10))).toBe('ok');
  expect(host.most.requests).toBe(1);
});

test('connections that are kept open count, whatever the requests do', async () => {
  const host = await holding();
  const http = createHttp({
    userAgent: 'WikiSeed/test (test@example.org)',
    clock: createSystemClock(),
    connectionsPerHost: 2,
  });
  const answers = [1, 2, 3, 4].map(async () =>
    String(await readBody(await http.request({ url: host.url }), 10)),
  );
  for (let left = answers.length; left > 0; left -= 1) {
    await host.whenWaiting(Math.min(2, left));
    host.waiting.shift()?.end('ok');
  }
  expect(await Promise.all(answers)).toEqual(['ok', 'ok', 'ok', 'ok']);
  expect(host.most).toEqual({ requests: 2, sockets: 2 });
});
