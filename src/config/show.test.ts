import { expect, test } from 'vitest';
import { loadConfig, showConfig } from './index.ts';

function load(text: string, env: Record<string, string> = {}) {
  const result = loadConfig({
    path: 'c.yaml',
    env,
    readTextFile: (path) => (path === 'c.yaml' ? text : null),
  });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result;
}

const UNUSUAL = `
wikiseed: {contact: ops@example.org, shutdown_timeout: 1500ms}
scheduling: {cycle_days: [5], wiki_discovery: "*/5 * * * *", publish_deadlines: {first_cycle: -1}}
download:
  segment_size: 1234567
  per_host_bandwidth_limit: 1MB/s
  bandwidth_limit: {default: 3MB/s, windows: [{days: "fri-mon,wed", hours: "22:15-06:00", limit: unlimited}]}
seeding: {upload_limit: 1000001B/s, watch_dir: /srv/watch}
maintenance: {backup_time: "00:05", long_job_warn: 36h}
alerts: {quiet_hours: "22:00-07:00", email: {to: [a@example.org, b@example.org]}}
`;

test('shows a configuration that reads back to the same one', () => {
  const { config, secretOrigins } = load(UNUSUAL);
  const shown = showConfig(config, secretOrigins);
  expect(load(shown).config).toEqual(config);
  expect(shown).toContain('bandwidth_limit:\n    default: 3MB/s');
  expect(shown).toContain('days: sun,mon,wed,fri,sat');
});

test('shows where a secret came from and never its value', () => {
  const { config, secretOrigins } = load('wikiseed: {contact: a@b.example}', { IA_ACCESS: 'sesame' });
  const shown = showConfig(config, secretOrigins);
  expect(shown).not.toContain('sesame');
  expect(shown).toMatch(/# {3}IA_ACCESS_KEY +set \(from environment\)/);
  expect(shown).toMatch(/# {3}IA_SECRET_KEY +not set/);
});

test('masks addresses that are secrets themselves', () => {
  const text =
    'wikiseed: {contact: a@b.example}\nalerts: {webhook: "https://hooks.example/T0/sesame?k=1"}\nmonitoring: {heartbeat_url: "https://hc.example/sesame"}';
  const { config, secretOrigins } = load(text);
  const shown = showConfig(config, secretOrigins);
  expect(shown).not.toContain('sesame');
  expect(shown).toContain('webhook: https://hooks.example/masked');
  expect(config.alerts.webhook).toBe('https://hooks.example/T0/sesame?k=1');
});
