import { isAbsolute, relative, resolve, sep } from 'node:path';
import { isLoopbackHost, isLoopbackUrl, isUnspecifiedUrl } from './addresses.ts';
import { adviceOn } from './advice.ts';
import { findNotYet } from './not-yet.ts';
import type { Config } from './schema.ts';
import { type SecretName, type Secrets, variableOf } from './secrets.ts';

/** A finding about values that are each fine but do not go together. */
export type Finding = {
  /** The key to point at, in file form. */
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly hint?: string;
  readonly severity: 'error' | 'warning';
  /** Other keys the finding rests on; it is not raised while one of them is itself wrong. */
  readonly because?: readonly (readonly PropertyKey[])[];
};

/** All contradictions and oddities of a configuration and its secrets; pure. */
export function findContradictions(config: Config, secrets: Secrets): readonly Finding[] {
  return [
    ...identity(config),
    ...calendar(config),
    ...disk(config),
    ...sources(config),
    ...credentials(config, secrets),
    ...mail(config),
    ...doors(config, secrets),
    ...ownAddress(config),
    ...watchFolder(config),
    ...database(config),
    ...adviceOn(config, secrets),
    ...findNotYet(config),
  ];
}

const error = (path: string, message: string, hint?: string, because: string[] = []): Finding => ({
  path: path.split('.'),
  message,
  hint,
  severity: 'error',
  because: because.map((key) => key.split('.')),
});

function identity({ wikiseed, discovery }: Config): Finding[] {
  const isSandbox = isLoopbackUrl(discovery.dumpsBaseUrl) && isLoopbackUrl(discovery.sitematrixUrl);
  if (wikiseed.contact !== '' || isSandbox) return [];
  // Reported even when an address beside it is wrong: whoever mends that one should not learn of this one only then.
  return [
    error(
      'wikiseed.contact',
      'is missing: it goes into the User-Agent, and Wikimedia refuses anonymous agents with 403.',
      'Write a mail address or a page where you can be reached, such as contact: ops@example.org.',
    ),
  ];
}

function calendar({ scheduling }: Config): Finding[] {
  const { cycleDays, publishDeadlines, embargoDays } = scheduling;
  const deadlines = [
    ['first_cycle', publishDeadlines.firstCycleDay],
    ['second_cycle', publishDeadlines.secondCycleDay],
  ] as const;
  return deadlines.flatMap(([key, deadline], index) => {
    const cycleDay = cycleDays[index];
    if (cycleDay === undefined || deadline === -1 || deadline > cycleDay + embargoDays) return [];
    const message = `is day ${deadline}, but its cycle begins on day ${cycleDay} and is taken ${embargoDays} days later.`;
    const because = ['scheduling.cycle_days', 'scheduling.embargo_days'];
    return [
      error(
        `scheduling.publish_deadlines.${key}`,
        message,
        'Write a later day, or -1 for the last one.',
        because,
      ),
    ];
  });
}

function sources({ download, discovery }: Config): Finding[] {
  const originHost = URL.parse(discovery.dumpsBaseUrl)?.host;
  return download.mirrors.flatMap((mirror, index) => {
    if (URL.parse(mirror)?.host !== originHost) return [];
    const finding = error(
      'download.mirrors',
      `names ${originHost}, which is discovery.dumps_base_url: as a mirror it would be asked with several connections for one file.`,
      'Remove it from the list; it is asked for everything that no mirror has.',
      ['discovery.dumps_base_url'],
    );
    return [{ ...finding, path: [...finding.path, index] }];
  });
}

function disk({ storage }: Config): Finding[] {
  const findings: Finding[] = [];
  const { cleanupThresholdPercent, pauseThresholdPercent, maxSizeBytes, safetyMarginBytes } = storage;
  if (cleanupThresholdPercent >= pauseThresholdPercent) {
    findings.push(
      error(
        'storage.cleanup_threshold_pct',
        `is ${cleanupThresholdPercent}, which is not below pause_threshold_pct (${pauseThresholdPercent}): downloads would pause before anything is cleaned.`,
        'Make it smaller than pause_threshold_pct.',
        ['storage.pause_threshold_pct'],
      ),
    );
  }
  if (maxSizeBytes !== null && maxSizeBytes <= safetyMarginBytes) {
    const message = 'is not larger than safety_margin, so nothing could ever be stored.';
    findings.push(error('storage.max_size', message, undefined, ['storage.safety_margin']));
  }
  return findings;
}

function credentials({ ia, publish }: Config, secrets: Secrets): Finding[] {
  const r2Keys: SecretName[] = ['r2AccessKeyId', 'r2SecretAccessKey'];
  // The account only serves to derive the endpoint.
  if (publish.r2.endpoint === null) r2Keys.unshift('r2AccountId');
  const targets: [string, boolean, SecretName[]][] = [
    ['ia.enabled', ia.enabled, ['iaAccessKey', 'iaSecretKey']],
    ['publish.r2.enabled', publish.r2.enabled, r2Keys],
    ['publish.gist.enabled', publish.gist.enabled, ['gistToken']],
    ['publish.pastebin.enabled', publish.pastebin.enabled, ['pastebinApiKey']],
    ['publish.academic_torrents.enabled', publish.academicTorrents.enabled, ['academicTorrentsApiKey']],
  ];
  return targets.flatMap(([path, isEnabled, names]) => {
    const missing = names.filter((name) => secrets[name] === null).map(variableOf);
    if (!isEnabled || missing.length === 0) return [];
    const message = `is true, but ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not set.`;
    return [
      error(
        path,
        message,
        `Set ${missing.length === 1 ? 'it' : 'them'} in the environment, or as a file with ${missing[0]}_FILE.`,
      ),
    ];
  });
}

function mail({ alerts }: Config): Finding[] {
  const { email } = alerts;
  if (!email.enabled) return [];
  const missing = [
    email.smtpHost === null ? 'smtp_host' : null,
    email.from === null ? 'from' : null,
    email.to.length === 0 ? 'to' : null,
  ].filter((key) => key !== null);
  const findings = missing.map((key) =>
    error(`alerts.email.${key}`, 'is missing, but alerts.email.enabled is true.', undefined, [
      'alerts.email.enabled',
    ]),
  );
  if (email.security === 'none' && email.smtpHost !== null && !isLoopbackHost(email.smtpHost)) {
    const message = 'is none, which would send mail and password in the clear; that is for loopback only.';
    findings.push(error('alerts.email.security', message, undefined, ['alerts.email.smtp_host']));
  }
  return findings;
}

function doors({ monitoring, seeding }: Config, secrets: Secrets): Finding[] {
  const findings: Finding[] = [];
  if (monitoring.auth === 'basic' && secrets.wikiseedAdminToken === null) {
    const message = 'is basic, but WIKISEED_ADMIN_TOKEN is not set.';
    findings.push(error('monitoring.auth', message, 'Set it in the environment; it is the password.'));
  }
  const isExternal = seeding.engine === 'qbittorrent' || seeding.engine === 'transmission';
  if (isExternal && seeding.url === null) {
    const example = seeding.engine === 'qbittorrent' ? 'http://127.0.0.1:8080' : 'http://127.0.0.1:9091';
    const message = `is missing, but the engine is ${seeding.engine}.`;
    findings.push(
      error('seeding.url', message, `Write where it listens, such as ${example}.`, ['seeding.engine']),
    );
  }
  return findings;
}

function ownAddress({ wikiseed }: Config): Finding[] {
  const { publicBaseUrl } = wikiseed;
  if (publicBaseUrl === null || !isUnspecifiedUrl(publicBaseUrl)) return [];
  const message = 'is an address to listen at, at which nobody can reach anything.';
  const hint =
    'Write the address under which others reach this host, such as https://seed.example.org, or null.';
  return [error('wikiseed.public_base_url', message, hint)];
}

/** Whatever lies in the data directory beside `seeder/` is somebody's: what the watch folder takes away would be theirs. */
function watchFolder({ wikiseed, seeding }: Config): Finding[] {
  const { watchDir } = seeding;
  if (typeof watchDir !== 'string') return [];
  const below = relative(resolve(wikiseed.dataDir), resolve(watchDir));
  const isOutside = below === '..' || below.startsWith(`..${sep}`) || isAbsolute(below);
  if (isOutside || below.startsWith(`seeder${sep}`)) return [];
  const message = `is ${watchDir}, inside ${wikiseed.dataDir}, where WikiSeed keeps its own files.`;
  const hint = 'Write a folder outside of it, or true for <data_dir>/seeder/watch.';
  return [error('seeding.watch_dir', message, hint, ['wikiseed.data_dir'])];
}

function database({ maintenance }: Config): Finding[] {
  const findings: Finding[] = [];
  if (maintenance.walWarnSizeBytes >= maintenance.walMaxSizeBytes) {
    const message = 'is not below wal_max_size, so the warning would come too late.';
    findings.push(error('maintenance.wal_warn_size', message, undefined, ['maintenance.wal_max_size']));
  }
  if (maintenance.fragmentationWarnPercent > maintenance.vacuumFragmentationPercent) {
    const message = 'is above vacuum_fragmentation_pct, so the warning would never come.';
    const because = ['maintenance.vacuum_fragmentation_pct'];
    findings.push(error('maintenance.fragmentation_warn_pct', message, undefined, because));
  }
  return findings;
}
