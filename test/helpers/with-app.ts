import { onTestFinished } from 'vitest';
import { type App, createApp } from '../../src/app.ts';
import { type Config, defaultConfig, noSecrets, type Secrets } from '../../src/config/index.ts';
import { type Clock, type Log, silentLog } from '../../src/ports/index.ts';
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

/** A configuration pointed at a sandbox. */
export function sandboxConfig(
  sandbox: Sandbox,
  dataDir: string = temporaryFolder(),
): { config: Config; secrets: Secrets } {
  const base = defaultConfig();
  return {
    config: {
      ...base,
      wikiseed: { ...base.wikiseed, dataDir, contact: 'test@localhost' },
      discovery: {
        ...base.discovery,
        sitematrixUrl: sandbox.sitematrixUrl,
        dumpsBaseUrl: sandbox.dumpsBaseUrl,
      },
      download: { ...base.download, mirrors: [] },
      storage: { ...base.storage, safetyMarginBytes: 1_000_000 },
      torrents: { ...base.torrents, trackers: [sandbox.trackerUrl] },
      seeding: { ...base.seeding, dht: false, listenHost: '127.0.0.1' },
      ia: {
        ...base.ia,
        enabled: true,
        s3Endpoint: sandbox.iaS3Endpoint,
        siteUrl: sandbox.iaSiteUrl,
        verifyPollMs: [50],
        newItemsPerHour: 1_000_000,
      },
      publish: {
        ...base.publish,
        r2: {
          ...base.publish.r2,
          enabled: true,
          endpoint: sandbox.r2.endpoint,
          bucket: sandbox.r2.bucket,
          publicBaseUrl: sandbox.r2.publicBaseUrl,
        },
      },
      monitoring: { ...base.monitoring, port: 0 },
    },
    secrets: {
      ...noSecrets(),
      iaAccessKey: sandbox.iaKeys.access,
      iaSecretKey: sandbox.iaKeys.secret,
      r2AccessKeyId: sandbox.r2.accessKeyId,
      r2SecretAccessKey: sandbox.r2.secretAccessKey,
    },
  };
}

/** A started WikiSeed on 2026-11-23; stopped when the test ends. */
export async function withApp(
  options: { config: Config; secrets: Secrets },
  ports: { clock: Clock; log?: Log },
): Promise<{ app: App; url: string }> {
  const app = await createApp({ ...options, clock: ports.clock, log: ports.log ?? silentLog });
  onTestFinished(() => app.stop());
  const { url } = await app.start();
  return { app, url };
}
