import { type Config, defaultConfig, noSecrets, type Secrets } from '../config/index.ts';
import type { Sandbox } from '../sandbox/index.ts';

/** A sandbox needs no gigabytes of safety margin, and little room on a disk that may be nearly full. */
const DEMO_STORAGE = {
  cleanupThresholdPercent: 99,
  pauseThresholdPercent: 100,
  safetyMarginBytes: 50_000_000,
};

/** The defaults of a real installation, pointed at the sandbox. */
export function demoConfig(
  sandbox: Sandbox,
  facts: { dataDir: string; port: number },
): { config: Config; secrets: Secrets } {
  const base = defaultConfig();
  const config: Config = {
    ...base,
    wikiseed: { ...base.wikiseed, dataDir: facts.dataDir, contact: 'demo@localhost' },
    discovery: {
      ...base.discovery,
      sitematrixUrl: sandbox.sitematrixUrl,
      dumpsBaseUrl: sandbox.dumpsBaseUrl,
    },
    download: { ...base.download, mirrors: sandbox.mirrors.map(({ baseUrl }) => baseUrl) },
    storage: { ...base.storage, ...DEMO_STORAGE },
    torrents: { ...base.torrents, trackers: [sandbox.trackerUrl] },
    seeding: { ...base.seeding, dht: false, listenHost: '127.0.0.1' },
    ia: {
      ...base.ia,
      enabled: true,
      s3Endpoint: sandbox.iaS3Endpoint,
      siteUrl: sandbox.iaSiteUrl,
      verifyPollMs: [500, 1000],
      // The real archive wants few new items an hour; this one is ours.
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
    monitoring: { ...base.monitoring, port: facts.port },
    logging: { ...base.logging, level: 'debug' },
  };
  const secrets: Secrets = {
    ...noSecrets(),
    iaAccessKey: sandbox.iaKeys.access,
    iaSecretKey: sandbox.iaKeys.secret,
    r2AccessKeyId: sandbox.r2.accessKeyId,
    r2SecretAccessKey: sandbox.r2.secretAccessKey,
  };
  return { config, secrets };
}
