import type { DumpFile } from '../../catalog/index.ts';
import type { Bus } from '../../events/index.ts';
import { HaltPipelineError, UnavailableError, type WikiSeedError } from '../../lib/index.ts';
import type { Clock, Log, Random } from '../../ports/index.ts';
import { checkedSourceUrl } from '../source-url.ts';
import { createLacks, type Lacks } from './lacks.ts';
import type { MirrorStore } from './mirror-store.ts';
import {
  freshStanding,
  isInGoodStanding,
  noteFault,
  noteGood,
  noteSpeed,
  restsUntil,
  type Standing,
  scoreOf,
  WORDS,
} from './standing.ts';
import type { Traffic } from './traffic.ts';
import type { ByteSource, FaultKind, SourceBook } from './types.ts';

/** What the book needs. */
export interface SourceBookDeps {
  clock: Clock;
  log: Log;
  random: Random;
  store: MirrorStore;
  traffic: Traffic;
  bus?: Bus;
  config: {
    /** `download.mirrors`: bases without trailing slash. */
    mirrors: readonly string[];
    /** `download.per_host_connections`. */
    connections: number;
  };
}

/** Below this size what counts is the number of requests, and a mirror that lags costs one more. */
export const SMALL_FILE_BYTES = 1024 * 1024;
/** For one in so many files a mirror that is not the best one comes first, so that it can show what it can. */
const TRY_ONE_IN = 12;
/** More files are never fetched at once. */
const FILES_REMEMBERED = 200;
const HALT_HINT =
  'Check wikiseed.contact: Wikimedia refuses agents that do not identify themselves, and blocks addresses that open too many connections.';

interface Mirror {
  base: string;
  standing: Standing;
  lacks: Lacks;
}

/** See `SourceBook`; the rules and their reasons are in docs/decisions/0019-mirrors-first-origin-last.md. */
export function createSourceBook(deps: SourceBookDeps): SourceBook & { stop(): void } {
  const { clock, log, random, store, traffic, bus } = deps;
  const { connections } = deps.config;
  const origin = freshStanding();
  const archive = freshStanding();
  const known = store.load(deps.config.mirrors);
  const mirrors: Mirror[] = deps.config.mirrors.map((base) => ({
    base,
    standing: { ...freshStanding(), ...known.get(base) },
    lacks: createLacks(),
  }));
  const byBase = new Map(mirrors.map((mirror) => [mirror.base, mirror]));
  /** Base of the mirror that comes first for a file; null = nobody does. */
  const trials = new Map<DumpFile['id'], string | null>();
  let hasAlert: string | null = null;
  const forgetRests = bus?.on('target:resumed', ({ target }) => {
    // An operator says "try again now"; what lied stays where it is.
    if (target !== 'dumps') return;
    for (const standing of [origin, archive, ...mirrors.map((mirror) => mirror.standing)])
      standing.restsUntil = 0;
  });

  function standingOf({ kind, id }: ByteSource): Standing | undefined {
    if (kind === 'origin') return origin;
    return kind === 'archive' ? archive : byBase.get(id)?.standing;
  }

  function mirrorSource(row: DumpFile, mirror: Mirror, originUrl: string): ByteSource | null {
    const path = mirrorPath(row, originUrl);
    if (path === null || mirror.lacks.has(row, clock.now())) return null;
    const { ignoresRanges, rangesAtOnce, bytesPerSecond } = mirror.standing;
    return {
      id: mirror.base,
      kind: 'mirror',
      url: `${mirror.base}${path}`,
      rangesAtOnce: ignoresRanges ? 1 : (rangesAtOnce ?? connections),
      bytesPerSecond,
      originHost: new URL(originUrl).host,
    };
  }

  /** The mirror that comes first for once, drawn once for each file: it is looked up for every part of it. */
  function trialOf(row: DumpFile, behind: readonly Mirror[]): Mirror | null {
    const drawn = trials.get(row.id);
    if (drawn !== undefined) return behind.find(({ base }) => base === drawn) ?? null;
    // Drawn only where it makes a difference, so that a test can follow.
    if (behind.length === 0) return null;
    const [longest = null] = behind.toSorted(
      (a, b) => (a.standing.lastUsedAt ?? 0) - (b.standing.lastUsedAt ?? 0),
    );
    const chosen = random.next() * TRY_ONE_IN < 1 ? longest : null;
    const [oldest] = trials.keys();
    if (trials.size >= FILES_REMEMBERED && oldest !== undefined) trials.delete(oldest);
    trials.set(row.id, chosen?.base ?? null);
    return chosen;
  }

  /** All sources of a file, the best first, whether they rest or not. */
  function ranked(row: DumpFile, whom: 'anybody' | 'origin'): ByteSource[] {
    const url = checkedSourceUrl(row);
    const { bytesPerSecond } = origin;
    const first: ByteSource = { id: 'origin', kind: 'origin', url, rangesAtOnce: 1, bytesPerSecond };
    if (whom === 'origin') return [first];
    const able = mirrors.filter((mirror) => mirrorSource(row, mirror, url) !== null);
    const isGood = (mirror: Mirror): boolean => isInGoodStanding(mirror.standing, origin.bytesPerSecond);
    const byScore = (a: Mirror, b: Mirror): number => scoreOf(b.standing) - scoreOf(a.standing);
    const good = able.filter(isGood).sort(byScore);
    const others = able.filter((mirror) => !isGood(mirror)).sort(byScore);
    const tried = trialOf(row, [...good.slice(1), ...others]);
    if (tried !== null) {
      for (const list of [good, others]) if (list.includes(tried)) list.splice(list.indexOf(tried), 1);
      good.unshift(tried);
    }
    const asSources = (list: Mirror[]): ByteSource[] =>
      list.flatMap((mirror) => mirrorSource(row, mirror, url) ?? []);
    const isOriginFirst = row.sizeBytes < SMALL_FILE_BYTES && traffic.at('origin') < connections;
    return [
      ...(isOriginFirst ? [first, ...asSources(good)] : [...asSources(good), first]),
      ...asSources(others),
      ...archiveSource(row),
    ];
  }

  const until = (source: ByteSource): number => restsUntil(standingOf(source) as Standing, clock.now());

  function sourcesFor(
    row: DumpFile,
    whom: 'anybody' | 'origin' = 'anybody',
  ): { all: readonly ByteSource[]; ready: readonly ByteSource[] } {
    const all = ranked(row, whom);
    const ready = all.filter((source) => until(source) === 0);
    // With nobody else to ask, how long the origin is left alone after its everyday trouble is up to the queue.
    if (ready.length > 0 || origin.restsFirmly) return { all, ready };
    return { all, ready: all.filter(({ kind }) => kind === 'origin') };
  }

  /** Somebody has to know, although the files keep coming. */
  function tellRefusal(source: ByteSource, row: DumpFile): void {
    const { host } = new URL(source.url);
    const others = sourcesFor(row).ready.length;
    log.warn({ host, otherSources: others }, 'the origin refused us and is left alone for an hour');
    // With no other source the job stops its target, which is an alert of its own.
    if (others === 0) return;
    hasAlert = `source:${host}`;
    bus?.emit('alert:raised', {
      key: hasAlert,
      severity: 'error',
      message: `${host} refuses us; files come from mirrors only`,
      hint: HALT_HINT,
    });
  }

  function resolveAlert(): void {
    if (hasAlert !== null) bus?.emit('alert:resolved', { key: hasAlert });
    hasAlert = null;
  }

  return {
    sourcesFor,
    noteBytes(source, facts) {
      const standing = standingOf(source);
      if (standing === undefined) return;
      standing.lastUsedAt = clock.now();
      noteSpeed(standing, facts);
      if (source.kind === 'origin') resolveAlert();
      if (source.kind === 'mirror') store.save(source.id, standing);
    },
    noteGood(source, row) {
      const standing = standingOf(source);
      if (standing === undefined) return;
      noteGood(standing, { runDate: row.runDate.replaceAll('-', ''), connections });
      byBase.get(source.id)?.lacks.forget(row);
      if (source.kind === 'mirror') store.save(source.id, standing);
    },
    noteFault(source, row, fault) {
      const standing = standingOf(source);
      if (standing === undefined) return;
      const now = clock.now();
      const isOrigin = source.kind === 'origin';
      noteFault(standing, fault, { now, connections, isOrigin });
      if (fault.kind === 'forbidden' && isOrigin) tellRefusal(source, row);
      if (source.kind !== 'mirror') return;
      standing.lastUsedAt = now;
      if (OTHER_FILE.includes(fault.kind)) byBase.get(source.id)?.lacks.note(row, now);
      const facts = { mirror: source.id, kind: fault.kind, wiki: row.wikiDbName, filename: row.filename };
      if (fault.kind === 'not_found') log.debug(facts, 'a mirror does not have a file');
      else log.warn(facts, `a mirror ${standing.lastFault}`);
      // Who lied should not be believed again because the power failed.
      store.save(source.id, standing, WRONG.includes(fault.kind));
    },
    readyAt(row, whom = 'anybody') {
      const times = ranked(row, whom).flatMap((source) => until(source) || []);
      return times.length === 0 ? null : Math.min(...times);
    },
    hasReadyMirror: () => mirrors.some(({ standing }) => restsUntil(standing, clock.now()) <= clock.now()),
    restError(row) {
      const source = { id: 'origin', kind: 'origin', url: checkedSourceUrl(row), rangesAtOnce: 1 } as const;
      return restError(source, origin, clock.now());
    },
    stop() {
      forgetRests?.();
      store.stop();
    },
  };
}

/** It has another file than the origin, or none: a run that is not there yet, or one of another day. */
const OTHER_FILE: readonly FaultKind[] = ['not_found', 'wrong_size', 'too_long', 'changed'];
const WRONG: readonly FaultKind[] = ['wrong_bytes', 'maybe_wrong'];

/** Where the file lies below a mirror's base; null when mirrors cannot have it. */
function mirrorPath(row: DumpFile, originUrl: string): string | null {
  if (row.source === 'classic') return `/${row.wikiDbName}/${row.runDate}/${row.filename}`;
  // Content exports have a layout of their own; mirrors that hold them keep it below the same folder.
  const { pathname } = new URL(originUrl);
  const at = pathname.indexOf('/other/');
  return at < 0 ? null : pathname.slice(at);
}

/** A copy of which we know that it was right. */
function archiveSource(row: DumpFile): ByteSource[] {
  const url = row.iaVerifiedAt === null || row.iaUrl === null ? null : URL.parse(row.iaUrl);
  if (url === null || !/^https?:$/.test(url.protocol)) return [];
  return [{ id: 'archive', kind: 'archive', url: url.href, rangesAtOnce: 1 }];
}

function restError(source: ByteSource, standing: Standing, now: number): WikiSeedError {
  const { host } = new URL(source.url);
  const leftMs = Math.max(1_000, restsUntil(standing, now) - now);
  if (standing.restsFor === 'forbidden')
    return new HaltPipelineError('forbidden', `${host} refused us a while ago and is left alone`, {
      subject: { host },
      pauseMs: leftMs,
      hint: HALT_HINT,
    });
  const why = WORDS[standing.restsFor ?? 'overloaded'];
  return new UnavailableError('http_status', `${host} ${why} a while ago and is left alone`, {
    subject: { host },
    retryAfterMs: leftMs,
  });
}
