import fc from 'fast-check';

/** What a run brings, and how far we get with it. */
export interface RunShape {
  wiki: number;
  source: 'classic' | 'content_current';
  types: ('pages-articles' | 'pages-meta-current' | 'pages-meta-history' | 'pagelinks')[];
  parts: number;
  isLarge: boolean;
  /** Hash that upstream publishes; null = none. */
  hash: 'sha1' | 'md5' | 'sha256' | null;
  /** lacking: the run ends without some files of its texts; part: not all of it was fetched. */
  state: 'whole' | 'failed' | 'lacking' | 'hanging' | 'part';
  isUploaded: boolean;
}

/** Where and how a deletion is disturbed; numbers count calls of the process. */
export interface Trouble {
  /** It dies before (false) or after (true) that change. */
  dies: { at: number; isAfter: boolean; power: number | null; befalls: Befalling | null } | null;
  /** That call to the disk fails with EIO. */
  fails: number | null;
  /** Told while it is under way. */
  meanwhile: { at: number; what: Telling } | null;
}

/** What somebody finds out and the catalog is told; may happen at any time. */
export type Telling =
  | { do: 'wiki'; pick: number; what: 'close' | 'hide' | 'vanish' | 'relabel' | 'restore' }
  | { do: 'look'; pick: number; what: 'replace' | 'withdraw' | 'lack' | 'mend' | 'hash' | 'unfinish' }
  | { do: 'find'; pick: number; what: 'rot' | 'missing' | 'all texts missing' }
  | { do: 'ask'; pick: number };

/** Done by others, or by nature; also while no process of ours lives. */
export type Befalling =
  | { do: 'rot' | 'loseAtArchive' | 'ownLink'; pick: number }
  | { do: 'lose'; pick: number; what: 'name' | 'link' | 'all' | 'touched' | 'cut' }
  | { do: 'archive'; pick: number; what: 'dark' | 'tasks' | 'well' }
  /** Whoever seeds stops answering, or answers again; or there is one torrent that it does not let go of. */
  | { do: 'program'; is: 'there' | 'away' }
  | { do: 'keep'; pick: number }
  | { do: 'tick' | 'setClock'; days: number }
  | { do: 'mount'; hidden: 'no' | 'absent' | 'empty' };

/** `pick` numbers choose among what is there, the newest first, modulo its number. */
export type PruningCommand =
  | Telling
  | Befalling
  | {
      do: 'cycle';
      runs: RunShape[];
      until: 'open' | 'sealed' | 'torrented' | 'published';
      seeders: number | null;
    }
  | { do: 'advance' | 'fetch' | 'upload' | 'reopen' | 'mend' | 'torrent'; pick: number }
  | { do: 'settings'; maxAgeDays: number; minSeeders: number; isOldestFirst: boolean; isUploading: boolean }
  | {
      do: 'prune';
      sets: number;
      mode: 'cleaning' | 'paused' | 'hard_stop' | 'unknown' | 'normal';
      trouble: Trouble;
    }
  | { do: 'restart'; trouble: Trouble };

const pick = fc.oneof(fc.nat(2), fc.nat(30));
const types = fc.constantFrom<RunShape['types'][]>(
  ['pages-articles'],
  ['pages-articles'],
  ['pages-articles'],
  ['pages-articles', 'pagelinks'],
  ['pages-articles', 'pagelinks'],
  ['pages-articles', 'pages-meta-history'],
  ['pages-meta-current'],
);
const run = fc.record<RunShape>({
  wiki: fc.constantFrom(0, 0, 0, 0, 0, 1, 2),
  source: fc.constantFrom('classic', 'classic', 'classic', 'classic', 'content_current'),
  types,
  parts: fc.constantFrom(1, 1, 2),
  isLarge: fc.constantFrom(false, true),
  hash: fc.constantFrom('sha1', 'sha1', 'sha1', 'sha1', 'sha1', 'sha1', 'md5', 'sha256', null),
  state: fc.constantFrom(...Array<'whole'>(12).fill('whole'), 'failed', 'lacking', 'hanging', 'part'),
  isUploaded: fc.boolean(),
});
const cycle = fc.record({
  do: fc.constant('cycle' as const),
  runs: fc.array(run, { minLength: 1, maxLength: 2 }),
  until: fc.constantFrom(...Array<'published'>(9).fill('published'), 'torrented', 'sealed', 'open'),
  seeders: fc.constantFrom(null, null, 1, 5),
});
const telling: fc.Arbitrary<Telling> = fc.oneof(
  fc.record({
    do: fc.constant('wiki' as const),
    pick,
    what: fc.constantFrom('close', 'hide', 'vanish', 'relabel', 'restore', 'restore'),
  }),
  fc.record({
    do: fc.constant('look' as const),
    pick,
    what: fc.constantFrom('replace', 'withdraw', 'lack', 'mend', 'hash', 'unfinish'),
  }),
  fc.record({
    do: fc.constant('find' as const),
    pick,
    what: fc.constantFrom('rot', 'missing', 'all texts missing'),
  }),
  fc.record({ do: fc.constant('ask' as const), pick }),
  fc.record({ do: fc.constant('ask' as const), pick }),
);
const befalling: fc.Arbitrary<Befalling> = fc.oneof(
  fc.record({
    do: fc.constant('lose' as const),
    pick,
    what: fc.constantFrom('name', 'link', 'all', 'touched', 'cut'),
  }),
  fc.record({ do: fc.constantFrom('rot' as const, 'loseAtArchive' as const, 'ownLink' as const), pick }),
  fc.record({ do: fc.constant('archive' as const), pick, what: fc.constantFrom('dark', 'tasks', 'well') }),
  fc.record({ do: fc.constant('program' as const), is: fc.constantFrom('away', 'away', 'there') }),
  fc.record({ do: fc.constant('keep' as const), pick }),
  fc.record({ do: fc.constant('tick' as const), days: fc.constantFrom(1, 6, 8, 30) }),
  fc.record({ do: fc.constant('setClock' as const), days: fc.constantFrom(-10, -1, 5, 40) }),
  fc.record({ do: fc.constant('mount' as const), hidden: fc.constantFrom('no', 'no', 'absent', 'empty') }),
);
const perhaps = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.option(value, { nil: null, freq: 2 });
/** Most deletions go undisturbed or meet one thing. */
const trouble: fc.Arbitrary<Trouble> = fc.record({
  dies: perhaps(
    fc.record({
      at: fc.oneof(fc.nat(4), fc.nat(14)),
      isAfter: fc.boolean(),
      power: perhaps(fc.nat(65535)),
      befalls: perhaps(befalling),
    }),
  ),
  fails: fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat(25) }),
  meanwhile: perhaps(fc.record({ at: fc.nat(6), what: telling })),
});
const work: fc.Arbitrary<PruningCommand> = fc.record({
  do: fc.constantFrom('advance', 'fetch', 'upload', 'reopen', 'mend', 'torrent'),
  pick,
});
const settings = fc.record({
  do: fc.constant('settings' as const),
  maxAgeDays: fc.constantFrom(7, 7, 1, 30),
  minSeeders: fc.constantFrom(3, 0),
  isOldestFirst: fc.boolean(),
  isUploading: fc.boolean(),
});
const prune = fc.record({
  do: fc.constant('prune' as const),
  sets: fc.constantFrom(1, 2, 5, 50, 50),
  mode: fc.constantFrom(
    'hard_stop',
    'hard_stop',
    'paused',
    'hard_stop',
    'cleaning',
    'cleaning',
    'unknown',
    'normal',
  ),
  trouble,
});
const restart = fc.record({ do: fc.constant('restart' as const), trouble });

/** How often what comes, beside cycles and prunes. */
export interface PruningWeights {
  restart: number;
  telling: number;
  befalling: number;
  work: number;
}

/** A history: some cycles, then anything. */
export function pruningHistories(weights: PruningWeights): fc.Arbitrary<PruningCommand[]> {
  const anything = fc.oneof<{ weight: number; arbitrary: fc.Arbitrary<PruningCommand> }[]>(
    { weight: 4, arbitrary: cycle },
    { weight: 6, arbitrary: prune },
    { weight: weights.restart, arbitrary: restart },
    { weight: weights.telling, arbitrary: telling },
    { weight: weights.befalling, arbitrary: befalling },
    { weight: weights.work, arbitrary: work },
    { weight: 1, arbitrary: settings },
  );
  return fc
    .tuple(
      fc.array(cycle, { minLength: 2, maxLength: 4 }),
      fc.array(anything, { minLength: 3, maxLength: 20, size: 'max' }),
    )
    .map(([first, rest]) => [...first, ...rest]);
}
