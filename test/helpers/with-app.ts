import { onTestFinished } from 'vitest';
import { type App, createApp } from '../../src/app.ts';
import { demoConfig } from '../../src/cli/demo-config.ts';
import type { Config, Secrets } from '../../src/config/index.ts';
import { type Clock, type Disk, type Log, silentLog } from '../../src/ports/index.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/index.ts';
import { temporaryFolder } from './with-db.ts';

/** Small and quick: no archive delay, no write interval, six wikis. Stopped when the test ends. */
export async function withSandbox(options: Partial<SandboxOptions> = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({
    dir: temporaryFolder(),
    wikis: 6,
    sizeBytes: 3_000_000,
    runDates: ['20261120'],
    taskDelayMs: 0,
    r2WriteIntervalMs: 0,
    ...options,
  });
  onTestFinished(() => sandbox.stop());
  return sandbox;
}

/** The demo's configuration, with quicker looks at the archive. */
export function sandboxConfig(
  sandbox: Sandbox,
  dataDir: string = temporaryFolder(),
): { config: Config; secrets: Secrets } {
  const { config, secrets } = demoConfig(sandbox, { dataDir, port: 0 });
  return {
    config: {
      ...config,
      ia: { ...config.ia, verifyPollMs: [50] },
      storage: { ...config.storage, safetyMarginBytes: 1_000_000 },
      logging: { level: 'info' },
    },
    secrets,
  };
}

/** A started WikiSeed on 2026-11-23; stopped when the test ends. */
export async function withApp(
  options: { config: Config; secrets: Secrets },
  ports: { clock: Clock; log?: Log; disk?: Disk },
): Promise<{ app: App; url: string }> {
  const { disk } = ports;
  const app = await createApp({
    ...options,
    clock: ports.clock,
    log: ports.log ?? silentLog,
    ...(disk === undefined ? {} : { disk }),
  });
  onTestFinished(() => app.stop());
  const { url } = await app.start();
  return { app, url };
}
