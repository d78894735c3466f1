import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { addWebseedRoutes } from '../../../src/monitoring/webseed-routes.ts';
import { createSystemClock, silentLog } from '../../../src/ports/index.ts';
import type { Serving } from '../../../src/webseeds/index.ts';
import type { Lifetime } from './lifetime.ts';
import type { WebRequest, WebServer } from './mirror.ts';

/** Our own `/webseed/` at an address for one client, so that it is known what that one asked for. */
export async function startOwnWebseed(
  lifetime: Lifetime,
  { host, serving }: { host: string; serving: Serving },
): Promise<WebServer> {
  const requests: WebRequest[] = [];
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    requests.push({
      path: c.req.path,
      status: c.res.status,
      bytes: Number(c.res.headers.get('content-length') ?? 0),
    });
  });
  addWebseedRoutes(app, {
    webseed: {
      open: serving.open,
      limits: {
        ...{ maxRequests: 100, maxRequestsPerClient: 100 },
        ...{ bandwidthLimitBytesPerSecond: null, bandwidthLimitPerClientBytesPerSecond: null },
      },
      trustedProxies: [],
    },
    ...{ clock: createSystemClock(), log: silentLog },
    notFound: (c, text) => c.text(text, 404),
  });
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  lifetime.add(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return {
    root: `http://${host}:${(server.address() as AddressInfo).port}/webseed/`,
    requests: () => requests,
  };
}
