import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createHttp, createSystemClock, limitConnectionsPerHost, readBody } from '../../src/ports/index.ts';

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
    code: 'network',
  });
});
