import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

/**
 * Goal: the arrows between rooms (docs/architecture.md) hold, and what depends on the world goes through ports.
 * Method: read every import and every line of src/; no compiler, so that a broken tree is judged too.
 */
const SRC = join(import.meta.dirname, '..', 'src');

/** What threads import of the catalog: its words without its stores, whose code takes half a second to load. */
const THREAD_DOOR = 'catalog/terms.ts';

/** Which rooms a room may import; a room that is not listed here fails the test. */
const FLOOR = ['catalog', 'queue', 'storage', 'events', 'db', 'config', 'ports', 'lib'];
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  ports: ['lib'],
  config: ['lib'],
  db: ['lib', 'ports'],
  events: ['ports', 'lib'],
  storage: ['db', 'config', 'ports', 'lib'],
  catalog: ['db', 'config', 'ports', 'lib'],
  queue: ['db', 'events', 'config', 'ports', 'lib'],
  discovery: FLOOR,
  download: FLOOR,
  upload: FLOOR,
  torrenting: FLOOR,
  seeding: FLOOR,
  pruning: FLOOR,
  publishing: FLOOR,
  webseeds: FLOOR,
  scheduling: FLOOR,
  monitoring: FLOOR,
  maintenance: FLOOR,
  alerts: FLOOR,
  // The outside world in small: it knows nothing of the house but the kernel.
  sandbox: ['lib'],
  // The command line reads what it prints, and starts what app.ts wires.
  cli: [
    ...FLOOR,
    'discovery',
    'download',
    'scheduling',
    'monitoring',
    'maintenance',
    'alerts',
    'pruning',
    'seeding',
    'sandbox',
  ],
};

/** Files at the top of src/ and what they may import. */
const TOP: Readonly<Record<string, readonly string[] | 'everything'>> = {
  'main.ts': ['cli'],
  'app.ts': 'everything',
  'app-settings.ts': [
    ...['version.ts', 'torrents-wanted.ts', 'discovery', 'download', 'upload', 'torrenting', 'seeding'],
    ...['publishing', 'scheduling', 'webseeds'],
    ...FLOOR,
  ],
  'app-schedules.ts': [
    ...['download', 'maintenance', 'pruning', 'scheduling', 'seeding', 'webseeds'],
    ...FLOOR,
  ],
  'app-storage.ts': FLOOR,
  'data-directory.ts': ['maintenance', ...FLOOR],
  'order-of-work.ts': ['download', ...FLOOR],
  'pipeline.ts': [
    ...[
      'order-of-work.ts',
      'torrents-wanted.ts',
      'discovery',
      'download',
      'upload',
      'torrenting',
      'seeding',
      'pruning',
      'publishing',
      'webseeds',
    ],
    ...FLOOR,
  ],
  'torrents-wanted.ts': ['discovery', 'download', 'torrenting', ...FLOOR],
  'version.ts': [],
};
/** Only the composition root and the command line may import these. */
const TOP_IMPORTERS: Readonly<Record<string, readonly string[]>> = {
  'app.ts': ['cli'],
  'app-settings.ts': ['app.ts', 'cli'],
  'app-schedules.ts': ['app.ts'],
  'app-storage.ts': ['app.ts'],
  'data-directory.ts': ['app.ts'],
  'order-of-work.ts': ['pipeline.ts'],
  'pipeline.ts': ['app.ts'],
  'torrents-wanted.ts': ['app-settings.ts', 'pipeline.ts'],
  'version.ts': ['app.ts', 'app-settings.ts', 'cli'],
};

/** Rooms that are edges themselves: the process, the outside in small, and the adapters. */
const MAY_TOUCH_THE_WORLD = new Set(['ports', 'sandbox', 'cli', 'db']);

/** Runs in the reader's browser, not in the daemon. */
const BROWSER_CODE = 'monitoring/live-script.ts';

const BANNED: readonly [string, RegExp][] = [
  ['Date.now', /\bDate\.now\b/],
  ['new Date() without argument', /\bnew Date\(\s*\)/],
  ['setTimeout / setInterval', /(?<![.\w])set(?:Timeout|Interval)\s*\(/],
  ['Math.random', /\bMath\.random\b/],
  ['fetch', /(?<![.\w])fetch\s*\(/],
  ['process.env', /\bprocess\.env\b/],
  ['console', /\bconsole\./],
  ['node:fs', /from 'node:fs(?:\/promises)?'/],
];

interface SourceFile {
  path: string;
  /** First folder below src/, or the file's own name at the top. */
  room: string;
  text: string;
}

const files: SourceFile[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.endsWith('.d.ts'))
  .map((path) => ({ path, room: path.split('/')[0] as string, text: readFileSync(join(SRC, path), 'utf8') }));

/** Strings, templates and regular expressions, in which `//` begins no comment; then comments. */
const LITERALS_AND_COMMENTS = new RegExp(
  [
    /'(?:\\.|[^'\\\n])*'/,
    /"(?:\\.|[^"\\\n])*"/,
    /`(?:\\.|[^`\\])*`/,
    /(?<=(?:[(,=>:[!&|?{};]|\breturn)\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//,
    /\/\*[\s\S]*?\*\//,
    /\/\/.*/,
  ]
    .map((part) => part.source)
    .join('|'),
  'g',
);

/** Comments may mention what code may not do. */
function code(text: string): string {
  return text.replaceAll(LITERALS_AND_COMMENTS, (found) => (/^\/[/*]/.test(found) ? '' : found));
}

function importsOf(file: SourceFile): { room: string; path: string }[] {
  return [...code(file.text).matchAll(/(?:from|import)\s*\(?'(\.[^']+)'/g)].map((match) => {
    const path = relative(SRC, resolve(SRC, dirname(file.path), match[1] as string));
    return { path, room: path.split('/')[0] as string };
  });
}

test('there is something to judge', () => {
  expect(files.length).toBeGreaterThan(50);
});

describe('arrows', () => {
  test('a room imports only rooms below it', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter(({ room }) => room !== file.room && !room.startsWith('..'))
        .filter(({ room }) => {
          if (room in TOP) return !(TOP_IMPORTERS[room] ?? []).includes(file.room);
          const allowed = TOP[file.path] ?? ALLOWED[file.room];
          return allowed !== 'everything' && !(allowed ?? []).includes(room);
        })
        .map(({ path }) => `${file.path} -> ${path}`),
    );
    expect(wrong).toEqual([]);
  });

  test('from another room only its index.ts is imported', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter(({ room }) => room !== file.room && !room.startsWith('..') && !(room in TOP))
        .filter(({ room, path }) => path !== `${room}/index.ts` && path !== THREAD_DOOR && room !== 'lib')
        .map(({ path }) => `${file.path} -> ${path}`),
    );
    expect(wrong).toEqual([]);
  });

  test('every room is on the map', () => {
    const unknown = [...new Set(files.map((f) => f.room))].filter(
      (room) => !(room in ALLOWED) && !(room in TOP),
    );
    expect(unknown).toEqual([]);
  });
});

describe('banned calls', () => {
  test.each(BANNED)('no room calls %s; ports do', (_name, pattern) => {
    const wrong = files
      .filter((file) => !MAY_TOUCH_THE_WORLD.has(file.room) && !file.path.endsWith('.worker.ts'))
      .filter((file) => file.path !== BROWSER_CODE)
      .filter((file) => pattern.test(code(file.text)))
      .map((file) => file.path);
    expect(wrong).toEqual([]);
  });

  const SAMPLES: Readonly<Record<string, string>> = {
    'Date.now': 'const now = Date.now();',
    'new Date() without argument': 'const now = new Date();',
    'setTimeout / setInterval': 'setInterval(tick, 5);',
    'Math.random': 'const chance = Math.random();',
    fetch: "await fetch('https://example.org');",
    'process.env': 'const home = process.env.HOME;',
    console: "console.log('x');",
    'node:fs': "import { readFile } from 'node:fs/promises';",
  };
  test.each(BANNED)('the scan sees %s, and takes nothing else for it', (name) => {
    const sample = code(SAMPLES[name] ?? '');
    expect(BANNED.filter(([, pattern]) => pattern.test(sample)).map(([found]) => found)).toEqual([name]);
  });

  test.each([
    ['a line comment', '// Date.now()\nf();', '\nf();'],
    ['a trailing comment', 'f(); // Date.now()', 'f(); '],
    ['a block comment', '/* Date.now()\n */f();', 'f();'],
    ['nothing of a string', "f('https://a//b'); g();", "f('https://a//b'); g();"],
    ['nothing of a template', 'f(`https://a/*`); g(); /* x */', 'f(`https://a/*`); g(); '],
    [
      'nothing of a regular expression',
      'a = /^https?:\\/\\/[^/*]/; g(); // x',
      'a = /^https?:\\/\\/[^/*]/; g(); ',
    ],
    ['a comment after a quote in a string', 'f("it\'s"); // it\'s', 'f("it\'s"); '],
  ])('before the scan goes %s', (_what, text, left) => {
    expect(code(text)).toBe(left);
  });
});

test('threads run what was built', () => {
  const wrong = files
    .filter(({ text }) => /\.worker\.[tj]s['"`]\s*,\s*import\.meta/.test(code(text)))
    .map(({ path }) => path);
  expect(wrong).toEqual([]);
});

describe('names', () => {
  test('files are kebab-case and none is a drawer for everything', () => {
    const wrong = files
      .map((file) => file.path)
      .filter((path) => {
        const name = path.split('/').at(-1) as string;
        return (
          !/^[a-z0-9]+(-[a-z0-9]+)*(\.worker)?\.ts$/.test(name) ||
          /^(utils?|helpers?|common|misc)\.ts$/.test(name)
        );
      });
    expect(wrong).toEqual([]);
  });

  test('files are small enough to read in one sitting', () => {
    const long = files.filter((file) => file.text.split('\n').length > 400).map((file) => file.path);
    expect(long).toEqual([]);
  });
});
