import { field, type Kind, part, section } from './fields.ts';
import {
  choice,
  count,
  duration,
  flag,
  kind,
  limit,
  listOf,
  orNull,
  percent,
  refuse,
  size,
  text,
} from './kinds.ts';
import { address, host, mailbox, network, path, privateAddress } from './kinds-address.ts';
import { hourRange, schedule, timeOfDay } from './kinds-time.ts';

/** How the daemon itself is run: identity, page, alarms, care of the database, logs. */

/** Who we are and where we live. */
export const wikiseedSection = section({
  contact: field('contact', text({ mayBeEmpty: true }), ''),
  data_dir: field('dataDir', path(), '/var/lib/wikiseed'),
  public_base_url: field('publicBaseUrl', orNull(address({ plainHttp: 'warn' })), null),
  user_agent_url: field('userAgentUrl', address(), 'https://github.com/WikiSeedProject/WikiSeed'),
  shutdown_timeout: field('shutdownTimeoutMs', duration({ minMs: 1_000, maxMs: 3_600_000 }), '30s'),
});

/** The status page and its API. */
export const monitoringSection = section({
  host: field('host', host(), '127.0.0.1'),
  port: field('port', count(0, 65_535), 8000),
  auth: field('auth', choice(['none', 'basic']), 'none'),
  log_retention_days: field('logRetentionDays', count(1, 3650), 90),
  heartbeat_url: field('heartbeatUrl', orNull(privateAddress()), null),
  trusted_proxies: field('trustedProxies', listOf(network()), []),
  webseed: part(
    'webseed',
    section({
      max_requests: field('maxRequests', count(1, 65_535), 256),
      max_requests_per_client: field('maxRequestsPerClient', count(1, 65_535), 8),
      bandwidth_limit: field('bandwidthLimitBytesPerSecond', limit(), 'unlimited'),
      bandwidth_limit_per_client: field('bandwidthLimitPerClientBytesPerSecond', limit(), 'unlimited'),
    }),
  ),
});

const mailboxes = listOf(mailbox());
/** One address or a list of them; always a list in the code. */
const recipients: Kind<readonly string[]> = kind(
  (raw) => {
    const parsed = mailboxes.safeDecode((typeof raw === 'string' ? [raw] : raw) as never);
    return parsed.success ? parsed.data : refuseFirst(parsed.error.issues);
  },
  (value) => value,
);

function refuseFirst(issues: readonly { message: string }[]): never {
  return refuse(issues[0]?.message ?? 'must be a list of mail addresses.');
}

/** What is told to whom, how, and at which hours not. */
export const alertsSection = section({
  email: part(
    'email',
    section({
      enabled: field('enabled', flag(), false),
      smtp_host: field('smtpHost', orNull(host()), null),
      smtp_port: field('smtpPort', count(1, 65_535), 587),
      security: field('security', choice(['auto', 'starttls', 'tls', 'none']), 'auto'),
      from: field('from', orNull(mailbox()), null),
      to: field('to', recipients, []),
    }),
  ),
  webhook: field('webhook', orNull(privateAddress()), null),
  quiet_hours: field('quietHours', orNull(hourRange()), null),
  reports: part(
    'reports',
    section({
      weekly: field('weekly', flag(), true),
      monthly: field('monthly', flag(), true),
    }),
  ),
});

/** Care of our own database and of the bytes we hold. */
export const maintenanceSection = section({
  backup_time: field('backupMinuteOfDay', timeOfDay(), '02:00'),
  keep: part(
    'keep',
    section({
      daily: field('daily', count(1, 366), 7),
      weekly: field('weekly', count(0, 520), 4),
      monthly: field('monthly', count(0, 120), 12),
    }),
  ),
  restore_rehearsal: field('restoreRehearsal', schedule(), 'weekly'),
  window: field('window', hourRange(), '02:00-06:00'),
  analyze: field('analyze', schedule(), 'daily'),
  integrity_check: field('integrityCheck', schedule(), 'weekly'),
  lease_sweep: field('leaseSweep', schedule(), 'hourly'),
  wal_warn_size: field('walWarnSizeBytes', size({ min: 1 }), '50MB'),
  wal_max_size: field('walMaxSizeBytes', size({ min: 1 }), '100MB'),
  database_warn_size: field('databaseWarnSizeBytes', size({ min: 1 }), '5GB'),
  fragmentation_warn_pct: field('fragmentationWarnPercent', percent(), 10),
  vacuum_fragmentation_pct: field('vacuumFragmentationPercent', percent(), 20),
  pending_jobs_warn: field('pendingJobsWarn', count(1), 100_000),
  long_job_warn: field('longJobWarnMs', duration({ minMs: 60_000 }), '24h'),
  keep_finished_jobs: field('keepFinishedJobsMs', duration({ minMs: 3_600_000 }), '90d'),
  keep_metrics: field('keepMetricsMs', duration({ minMs: 3_600_000 }), '365d'),
  scrub: part(
    'scrub',
    section({
      enabled: field('enabled', flag(), true),
      period: field('periodMs', duration({ minMs: 3_600_000 }), '90d'),
      read_limit: field('readLimitBytesPerSecond', limit(), '20MB/s'),
    }),
  ),
});

/** What is written to standard output. */
export const loggingSection = section({
  level: field('level', choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']), 'info'),
});
