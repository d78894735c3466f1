import { describe, expect, test } from 'vitest';
import { formatProblem, type LoadResult, loadConfig, type Problem } from './index.ts';

const CONTACT = 'wikiseed: {contact: ops@example.org}\n';

function load(text: string | null, env: Record<string, string> = {}): LoadResult {
  return loadConfig({ path: null, env, readTextFile: (path) => (path === './config.yaml' ? text : null) });
}

function problemsOf(result: LoadResult): readonly Problem[] {
  return result.ok ? result.warnings : result.problems;
}

/** The report as an operator sees it, `line:column: severity: …`. */
function report(text: string, env: Record<string, string> = {}): string[] {
  return problemsOf(load(text, env)).map((problem) => formatProblem(problem, null));
}

function loaded(text: string, env: Record<string, string> = {}) {
  const result = load(text, env);
  if (!result.ok) throw new Error(result.problems.map((problem) => formatProblem(problem, null)).join('\n'));
  return result;
}

describe('a file with eight mistakes', () => {
  test('is reported in one go, line by line', () => {
    const text = [
      'wikiseed:', // 1
      '  contact: ops@example.org', // 2
      'download:', // 3
      '  concurency: 4', // 4: misspelt
      '  per_host_connections: 5', // 5: out of range
      '  segment_size: 10 XB', // 6: no such unit
      'storage:', // 7
      '  cleanup_threshold_pct: 95', // 8: contradicts the default of pause_threshold_pct
      '  safety_margin:', // 9: no value
      'torrents: [cycle]', // 10: a list where keys are wanted
      'ia:', // 11
      '  secret_key: sesame', // 12: a secret
      '  collection: wikiseed', // 13
      '  collection: mine', // 14: twice
    ].join('\n');
    expect(report(text)).toEqual([
      '4:3: error: download.concurency: is not a known key. Did you mean concurrency?',
      '5:25: error: download.per_host_connections: must be a whole number from 1 to 3, found 5.',
      '6:17: error: download.segment_size: "10 XB" is not a size: there is no unit XB; write a number with a unit, such as 500MB, 1.5GB or 16MiB.',
      '8:26: error: storage.cleanup_threshold_pct: is 95, which is not below pause_threshold_pct (90): downloads would pause before anything is cleaned. Make it smaller than pause_threshold_pct.',
      '9:3: error: storage.safety_margin: has no value: write one, or remove the line to use the default (5GB).',
      '10:11: error: torrents: must be a group of keys, one "key: value" a line, but is a list.',
      '12:3: error: ia.secret_key: is a secret and must not be in the configuration file, which is copied and shown. Put it in the environment as IA_SECRET_KEY, or in a file named by IA_SECRET_KEY_FILE, and change it if others could read this file.',
      '14:3: error: ia.collection: is written twice in the same group; the first time is line 13. Keep one of them.',
    ]);
  });
});

describe('finding the file', () => {
  const reader = (files: Record<string, string>) => (path: string) => files[path] ?? null;
  const files = {
    '/named.yaml': CONTACT,
    '/variable.yaml': CONTACT,
    './config.yaml': CONTACT,
    '/etc/wikiseed/config.yaml': CONTACT,
  };

  test.each([
    ['--config', '/named.yaml', { WIKISEED_CONFIG: '/variable.yaml' }, files, '/named.yaml'],
    ['WIKISEED_CONFIG', null, { WIKISEED_CONFIG: '/variable.yaml' }, files, '/variable.yaml'],
    ['the working directory', null, {}, files, './config.yaml'],
    [
      '/etc',
      null,
      { WIKISEED_CONFIG: '' },
      { '/etc/wikiseed/config.yaml': CONTACT },
      '/etc/wikiseed/config.yaml',
    ],
  ])('takes %s in its turn', (_, path, env, present, expected) => {
    expect(loadConfig({ path, env, readTextFile: reader(present) })).toMatchObject({
      ok: true,
      sourcePath: expected,
    });
  });

  test('does not fall back when a named file is missing', () => {
    const byOption = loadConfig({ path: '/gone.yaml', env: {}, readTextFile: reader(files) });
    expect(problemsOf(byOption)[0]?.message).toBe(
      'The configuration file /gone.yaml, named by --config, does not exist.',
    );
    const byVariable = loadConfig({
      path: null,
      env: { WIKISEED_CONFIG: '/gone.yaml' },
      readTextFile: reader(files),
    });
    expect(problemsOf(byVariable)[0]?.message).toContain('named by WIKISEED_CONFIG');
  });

  test('reports a file that cannot be read with its reason', () => {
    const readTextFile = (): string => {
      throw Object.assign(new Error('no'), { code: 'EACCES' });
    };
    const result = loadConfig({ path: '/secret.yaml', env: {}, readTextFile });
    expect(problemsOf(result)[0]?.message).toBe(
      'The configuration file /secret.yaml cannot be read: EACCES.',
    );
  });

  test('says so when the named file is a folder', () => {
    const readTextFile = (): string => {
      throw Object.assign(new Error('no'), { code: 'EISDIR' });
    };
    expect(problemsOf(loadConfig({ path: '/etc', env: {}, readTextFile }))[0]?.message).toBe(
      'The configuration file /etc is a folder, not a file.',
    );
  });

  test('without any file asks for the contact and names no line', () => {
    const result = load(null);
    expect(result).toMatchObject({ ok: false, sourcePath: null });
    expect(problemsOf(result)).toMatchObject([{ path: 'wikiseed.contact', line: null }]);
    expect(problemsOf(result)[0]?.message).toContain('Wikimedia refuses anonymous agents with 403');
  });
});

describe('broken YAML', () => {
  test('names the line indented with a tab and does not guess at what follows', () => {
    expect(report('download:\n\tconcurrency: many\n')).toEqual([
      '2:1: error: This line is indented with a tab; YAML allows spaces only.',
    ]);
  });

  test('says nothing about keys and values, which are a guess in a torn file', () => {
    expect(report('logging: {levle: loud}\nstorage: {max_size: 1TB\n')).toEqual([
      '3:1: error: This line lacks a closing quote, a closing bracket or a comma.',
    ]);
  });

  test('explains an unquoted glob where it stands and checks the rest', () => {
    expect(report(`${CONTACT}discovery: {wikis: {include: [*wiki]}}\nlogging: {level: loud}\n`)).toEqual([
      '2:31: error: *wiki must be in quotes: without them, * refers to another place in the file. Write "*wiki".',
      expect.stringContaining('3:18: error: logging.level'),
    ]);
  });

  test.each([
    ['- a\n- b\n', 'is a list'],
    ['hello', 'is a single value'],
  ])('refuses a file that is not a group: %j', (text, found) => {
    expect(report(text)[0]).toContain(found);
  });

  test('does not unfold aliases without end', () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x,x]',
      'b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]',
      'c: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]',
    ];
    expect(load(bomb.join('\n'))).toMatchObject({ ok: false });
  });

  test('treats an empty file and an empty section as defaults, with a warning', () => {
    expect(report('# nothing yet\n')[0]).toBe('warning: The file has no settings, so all defaults apply.');
    expect(report(`${CONTACT}download:\n  # concurrency: 5\n`)).toEqual([
      '2:1: warning: download: has no keys, so its defaults apply.',
    ]);
  });
});

describe('unknown keys', () => {
  test.each([
    ['download: {perHostConnections: 2}', 'Did you mean per_host_connections?'],
    ['downlaod: {concurrency: 2}', 'Did you mean download?'],
    ['download: {chunk_size_mb: 100}', 'Did you mean download.segment_size?'],
    ['storage: {segment_size: 100MB}', 'Did you mean download.segment_size?'],
    ['logging: {colour: red}', 'Known here: level.'],
  ])('%s: %s', (line, hint) => {
    expect(report(CONTACT + line)).toEqual([expect.stringContaining(hint)]);
  });

  test('never repeats the value of a secret, wherever it stands', () => {
    const text = `${CONTACT}ia: hunter2\npublish: {gist: {token: hunter2}, r2: {api_key: hunter2}}\nalerts: {email: {password: hunter2}, webhook: "hunter2"}\nseeding: {url: "http://me:hunter2@127.0.0.1"}\n`;
    const lines = report(text);
    expect(lines.join('\n')).not.toContain('hunter2');
    expect(lines).toHaveLength(6);
    expect(lines.join('\n')).toContain('as GIST_TOKEN');
    expect(lines.join('\n')).toContain('as SMTP_PASSWORD');
  });
});

describe('values', () => {
  test('arrive in camelCase with units', () => {
    const { config } = loaded(
      `${CONTACT}download: {segment_size: 1MiB}\nstorage: {max_size: 2TB}\nseeding: {upload_limit: 5MB/s}\nalerts: {email: {to: a@example.org}, quiet_hours: "22:00-07:00"}\nmaintenance: {backup_time: "03:30", long_job_warn: 2d}\n`,
    );
    expect(config.download.segmentSizeBytes).toBe(2 ** 20);
    expect(config.storage).toMatchObject({ maxSizeBytes: 2e12, safetyMarginBytes: 5e9 });
    expect(config.seeding.uploadLimitBytesPerSecond).toBe(5e6);
    expect(config.alerts.email.to).toEqual(['a@example.org']);
    expect(config.alerts.quietHours).toEqual({ fromMinute: 1320, toMinuteExclusive: 420 });
    expect(config.maintenance).toMatchObject({ backupMinuteOfDay: 210, longJobWarnMs: 172_800_000 });
  });

  test.each([
    ['torrents: {piece_length: 16MB}', 'must be a power of two from 16KiB to 64MiB'],
    ['torrents: {piece_length: 8KiB}', 'must be a power of two'],
    ['torrents: {piece_length: 128MiB}', 'must be a power of two'],
    ['scheduling: {cycle_days: [0, 20]}', 'must be a whole number from 1 to 28, found 0'],
    ['scheduling: {cycle_days: [1, 29]}', 'from 1 to 28, found 29'],
    ['scheduling: {cycle_days: []}', 'must have at least one entry'],
    ['scheduling: {cycle_days: [20, 1]}', 'ascending'],
    ['scheduling: {wiki_discovery: sometimes}', 'cron expression'],
    ['scheduling: {wiki_discovery: "61 3 * * 1"}', 'cron expression'],
    ['scheduling: {publish_deadlines: {first_cycle: 31}}', '-1 for the last day'],
    ['download: {bandwidth_limit: 20MB}', 'is not a rate'],
    ['download: {bandwidth_limit: 0MB/s}', 'write unlimited'],
    ['download: {mirrors: "https://one.example"}', 'must be a list'],
    ['download: {mirrors: ["https://a.example", "https://a.example/"]}', 'is in the list twice'],
    ['dumps: {include_history: yes}', 'must be true or false, found "yes"'],
    ['wikiseed: {contact: a@example.org, data_dir: ~/seed}', '"~" is not expanded'],
    ['alerts: {quiet_hours: "7-22"}', 'must be hours in quotes'],
    ['alerts: {quiet_hours: "24:00-07:00"}', 'must be hours in quotes'],
    ['alerts: {quiet_hours: "00:00-24:00"}', 'begins and ends at the same time, found'],
    [
      'download: {bandwidth_limit: {windows: [{hours: "08:00-08:00", limit: 5MB/s}]}}',
      'write "00:00-24:00" for the whole day',
    ],
    ['seeding: {port: 65536}', 'from 0 to 65535'],
    ['torrents: {trackers: ["udp://tracker.example.org/announce"]}', 'must name a port'],
    ['monitoring: {trusted_proxies: [localhost]}', 'trusted_proxies[0]: must be an IP address'],
    ['monitoring: {trusted_proxies: ["10.0.0.0/40"]}', 'or a network such as 10.0.0.0/8'],
    ['torrents: {groupings: [cycle, cycle]}', 'torrents.groupings[1]: is in the list twice'],
    ['publish: {r2: {public_base_url: "http://cdn.example"}}', 'must use https'],
  ])('refuses %s', (line, message) => {
    const text = line.startsWith('wikiseed') ? line : CONTACT + line;
    expect(report(text)).toEqual([expect.stringContaining(message)]);
  });

  test.each([
    'scheduling: {wiki_discovery: "0 3 * * mon-fri", dump_check: "*/15 0-6,12 1 jan *"}'.replace(
      'mon-fri',
      '1-5',
    ),
    'scheduling: {cycle_days: [28], embargo_days: 0, publish_deadlines: {first_cycle: -1}}',
    'torrents: {piece_length: 16KiB}',
    'torrents: {piece_length: 64MiB}',
    'seeding: {port: 0}',
    'monitoring: {port: 0}',
    'monitoring: {trusted_proxies: [127.0.0.1, "0:0:0:0:0:0:0:1", "[::1]", 10.0.0.0/8, "fd00::/8"]}',
    'discovery: {wikis: {include: ["enwiki"], exclude: ["enwiki"]}}',
    'ia: {s3_endpoint: "http://127.0.0.1:9000/", site_url: "http://[::1]:9001"}',
  ])('accepts %s', (line) => {
    expect(report(CONTACT + line)).toEqual([]);
  });
});

describe('contradictions', () => {
  test('needs no contact in the sandbox, where everything is loopback', () => {
    const both =
      'discovery: {dumps_base_url: "http://127.0.0.1:8080", sitematrix_url: "http://localhost:8080/w/api.php"}';
    expect(report(both)).toEqual([]);
    expect(report('discovery: {dumps_base_url: "http://127.0.0.1:8080"}')).toEqual([
      expect.stringContaining('wikiseed.contact: is missing'),
    ]);
  });

  test.each([
    ['ia: {enabled: true}', {}, 'IA_ACCESS_KEY and IA_SECRET_KEY are not set'],
    ['ia: {enabled: true}', { IA_ACCESS: 'a' }, 'but IA_SECRET_KEY is not set'],
    [
      'download: {mirrors: ["https://mirror.example", "https://dumps.wikimedia.org/x"]}',
      {},
      'download.mirrors[1]: names dumps.wikimedia.org, which is discovery.dumps_base_url',
    ],
    ['publish: {r2: {enabled: true}}', {}, 'R2_ACCOUNT_ID and R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY'],
    [
      'publish: {r2: {enabled: true, endpoint: "https://s3.example"}}',
      {},
      'but R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY',
    ],
    ['publish: {gist: {enabled: true}}', {}, 'GIST_TOKEN'],
    ['monitoring: {auth: basic}', {}, 'WIKISEED_ADMIN_TOKEN'],
    ['seeding: {engine: qbittorrent}', {}, 'the engine is qbittorrent'],
    ['storage: {max_size: 5GB}', {}, 'not larger than safety_margin'],
    ['storage: {cleanup_threshold_pct: 90}', {}, 'not below pause_threshold_pct'],
    ['scheduling: {publish_deadlines: {second_cycle: 19}}', {}, 'its cycle begins on day 20'],
    [
      'alerts: {email: {enabled: true, smtp_host: mail.example.org, from: a@example.org}}',
      {},
      'alerts.email.to: is missing',
    ],
    ['maintenance: {wal_warn_size: 100MB}', {}, 'not below wal_max_size'],
    ['seeding: {watch_dir: /var/lib/wikiseed/dumps/x}', {}, 'where WikiSeed keeps its own files'],
  ])('%s with %o is an error', (line, env, message) => {
    const result = load(CONTACT + line, env);
    expect(result.ok).toBe(false);
    const errors = problemsOf(result).filter(({ severity }) => severity === 'error');
    expect(errors.map((problem) => formatProblem(problem, null))).toContainEqual(
      expect.stringContaining(message),
    );
  });

  test.each([
    ['/data', true],
    ['/data/', true],
    ['/data/dumps', true],
    ['/data/torrents/new', true],
    ['/data/db', true],
    ['/data/publish', true],
    ['/data/backups/x', true],
    ['/data/records', true],
    ['/data/seeder', true],
    ['/data/seeder/../dumps', true],
    ['/data/..watch', true],
    ['/data/seeder/watch', false],
    ['/data/seeder/other', false],
    ['/data-watch', false],
    ['/srv/watch', false],
    ['/', false],
  ])('a watch folder at %s is an error: %s', (folder, isError) => {
    const text = `wikiseed: {contact: a@example.org, data_dir: /data}\nseeding: {watch_dir: ${folder}}\n`;
    expect(report(text)).toEqual(
      isError
        ? [expect.stringMatching(/seeding\.watch_dir: is .*, inside \/data, .* Write a folder outside/)]
        : [],
    );
  });

  test('is satisfied by the keys it asked for', () => {
    const env = { IA_ACCESS: 'a', IA_SECRET: 'b' };
    expect(loaded(`${CONTACT}ia: {enabled: true}`, env).secrets).toMatchObject({
      iaAccessKey: 'a',
      iaSecretKey: 'b',
    });
  });

  test('is not raised on top of a value that is itself wrong', () => {
    expect(report(`${CONTACT}storage: {cleanup_threshold_pct: 95, pause_threshold_pct: most}`)).toEqual([
      expect.stringContaining('storage.pause_threshold_pct: must be a percentage'),
    ]);
  });

  test.each([
    ['download: {mirrors: ["http://mirror.example.org"]}', 'download.mirrors[0]: uses plain http'],
    ['download: {per_host_connections: 3}', 'at most two connections'],
    ['dumps: {regular_types: [page, abstract]}', 'stopped making in January 2025'],
    ['dumps: {history_types: [pages-meta-histori]}', 'a dump type we have not seen'],
    ['monitoring: {host: 0.0.0.0}', 'public, read-only pages'],
    ['torrents: {align_files_from: 1MiB}', 'below piece_length'],
    ['monitoring: {webseed: {max_requests: 4}}', 'above max_requests (4)'],
  ])('%s is a warning only', (line, message) => {
    expect(loaded(CONTACT + line).warnings.map((problem) => formatProblem(problem, null))).toContainEqual(
      expect.stringContaining(message),
    );
  });

  const PUBLIC = (address: string, more = ''): string =>
    `wikiseed: {contact: "ops@example.org", public_base_url: "${address}"}\n${more}`;

  test.each([
    'https://localhost:8080',
    'https://127.0.0.1',
    'https://192.168.1.5',
    'https://[fd00::5]',
    'https://seedbox',
    'https://seedbox.lan',
  ])('public_base_url %s is a warning, and none in the sandbox', (address) => {
    const warnings = (text: string): string[] =>
      loaded(text).warnings.map((problem) => formatProblem(problem, null));
    const told = expect.stringContaining('wikiseed.public_base_url: can be reached from this machine');
    expect(warnings(PUBLIC(address))).toContainEqual(told);
    const sandbox = 'discovery: {dumps_base_url: "http://127.0.0.1:1"}';
    expect(warnings(PUBLIC(address, sandbox))).not.toContainEqual(told);
    expect(warnings(PUBLIC('https://seed.example.org'))).not.toContainEqual(told);
  });

  test('an archive in the house is a warning', () => {
    const env = { IA_ACCESS: 'a', IA_SECRET: 'b' };
    const { warnings } = loaded(`${CONTACT}ia: {enabled: true, site_url: "https://archive.lan"}`, env);
    expect(warnings.map((problem) => formatProblem(problem, null))).toContainEqual(
      expect.stringContaining('ia.site_url: can be reached from this machine'),
    );
  });

  test.each(['http://0.0.0.0:8080', 'https://[::]'])('public_base_url %s is an error', (address) => {
    expect(report(PUBLIC(address))).toContainEqual(
      expect.stringContaining('wikiseed.public_base_url: is an address to listen at'),
    );
  });

  test('a missing contact is reported beside a wrong address', () => {
    expect(report('discovery: {dumps_base_url: nowhere}')).toEqual([
      expect.stringContaining('discovery.dumps_base_url'),
      expect.stringContaining('wikiseed.contact: is missing'),
    ]);
  });
});

describe('what this version does not do yet', () => {
  test.each([
    'ia: {bandwidth_limit: 5MB/s}',
    'ia: {multipart_above: 5GB}',
    'monitoring: {heartbeat_url: "https://hc.example.org/x"}',
    'alerts: {webhook: "https://hook.example.org/x"}',
  ])('%s is accepted with a warning', (line) => {
    expect(loaded(CONTACT + line).warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining('has no effect in this version yet'),
    ]);
  });

  test.each([
    ['publish: {gist: {enabled: true}}', { GIST_TOKEN: 'x' }],
    ['publish: {pastebin: {enabled: true}}', { PASTEBIN_API_KEY: 'x' }],
    ['publish: {academic_torrents: {enabled: true}}', { ACADEMIC_TORRENTS_API_KEY: 'x' }],
    ['monitoring: {auth: basic}', { WIKISEED_ADMIN_TOKEN: 'x' }],
    [
      'alerts: {email: {enabled: true, smtp_host: mail.example.org, from: a@example.org, to: b@example.org}}',
      {},
    ],
  ])('%s with what it asks for is accepted with a warning', (line, env) => {
    expect(loaded(CONTACT + line, env).warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining('has no effect in this version yet'),
    ]);
  });

  test.each([
    'download: {mirrors: []}',
    'discovery: {sources: [classic]}',
    'discovery: {sources: [classic, content_current]}',
    'discovery: {sources: [content_current]}',
    'discovery: {sources: [classic, content_history]}',
    'discovery: {wikis: {max_size: 50MB}}',
    'seeding: {engine: none}',
    'seeding: {engine: transmission, url: "http://127.0.0.1:9091", watch_dir: true}',
    'seeding: {engine: qbittorrent, url: "http://127.0.0.1:8080"}',
  ])('%s is fine', (line) => {
    expect(report(CONTACT + line)).toEqual([]);
  });
});
