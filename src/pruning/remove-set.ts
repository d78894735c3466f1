import { dirname } from 'node:path';
import type { Catalog } from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import { DumpFileId } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Clock, Disk, Log } from '../ports/index.ts';
import {
  type DiskLook,
  evidenceOf,
  familyKey,
  type GoldenVerdict,
  goldenVerdict,
  groupFiles,
  type Layout,
  type PrunePolicy,
  planPrune,
  type RemovedSet,
} from '../storage/index.ts';
import type { EndedSeeding } from './ended-seeding.ts';
import { createNames, lookOf } from './names.ts';
import { readFacts } from './read-facts.ts';
import type { TorrentRetirement } from './retire-torrent.ts';
import { isOfTheDisk, type Stuck } from './stuck.ts';
import type { ChosenSet } from './views.ts';
import { NOTHING_WAITS, type Waiting } from './waiting.ts';

/** What deleting needs. */
export interface RemoveDeps {
  db: Db;
  catalog: Pick<Catalog, 'beginDeletions' | 'finishDeletion'>;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  retirement: TorrentRetirement;
  ended: Pick<EndedSeeding, 'ofFile'>;
  policy: Omit<PrunePolicy, 'neededBytes'>;
  stuck: Pick<Stuck, 'note' | 'text'>;
  /** A file is gone for good. */
  onRemoved: (file: { dumpId: number; sizeBytes: number }) => void;
  /** A deletion is not carried out: the file is held as before, and torrents that lack nothing any more are seeded again. */
  takeBack: (deletionId: number) => void;
}

/** How a set fared; `waiting`: what of it goes as soon as nobody seeds it any more; `stuckFiles`: those that the disk refused to remove. */
export type SetOutcome = { waiting: Waiting; stuckFiles: number } & (
  | { isRemoved: true; files: number; sizeBytes: number }
  | { isRemoved: false; reason: string }
);

/** Deletes by plan, and ends what a dead process began. */
export interface SetRemover {
  /** Looks at everything once more, as it is now, and deletes the files of one set; or says why not. */
  remove(set: ChosenSet): Promise<SetOutcome>;
  /**
   * Asks the golden rule again about one file whose deletion was decided, and removes its names.
   * @returns whether they were removed; `waitsFor`: a torrent that carries it may still be seeded, so it stays for now, and why
   * @throws whatever the disk says; it stays decided
   */
  carryOut(deletion: {
    id: number;
    dumpId: DumpFileId;
    path: string;
  }): Promise<GoldenVerdict | { waitsFor: string }>;
  /** Names of ours that a file may have, the one under `dumps/` first. */
  ownNames(dumpId: number): string[];
  /** Those of them that are there now, in the same order. */
  presentNames(dumpId: number): Promise<string[]>;
}

/** See `SetRemover`. */
export function createSetRemover(deps: RemoveDeps): SetRemover {
  const { db, catalog, disk, layout, clock, retirement, stuck } = deps;
  const names = createNames(db.sqlite, layout);

  function ownNames(dumpId: number): string[] {
    const { dump, trees } = names(dumpId);
    return dump === null ? trees : [dump, ...trees];
  }

  async function lookAt(dumpId: number): Promise<DiskLook | null> {
    const { dump, trees } = names(dumpId);
    if (dump === null) return null;
    const found = await disk.stat(dump);
    const others: ({ inode: number } | null)[] = [];
    for (const tree of trees) others.push(await disk.stat(tree));
    return lookOf(found, others);
  }

  /** The same code as the plan's, over what the tables say of this set now. */
  function judge(
    set: ChosenSet,
    looks: ReadonlyMap<number, DiskLook | null>,
  ): RemovedSet | { reason: string } {
    const { wikiDbName, source, dumpType, runDate, newerRunDates, ids } = set;
    const facts = readFacts(db.sqlite, {
      now: clock.now(),
      statsMaxAgeMs: deps.policy.seedersMaxAgeMs,
      look: ({ id }) => looks.get(id) ?? null,
      scope: { wikiDbName, source, dumpType, runDates: [runDate, ...newerRunDates], ids },
    });
    const plan = planPrune(facts, { ...deps.policy, neededBytes: Number.POSITIVE_INFINITY });
    const isThis = ({ set: each }: { set: ChosenSet | RemovedSet['set'] }): boolean =>
      each.source === source && each.runDate === runDate && each.dumpType === dumpType;
    const removed = plan.removed.find(isThis);
    if (removed !== undefined) return removed;
    return { reason: plan.kept.find(isThis)?.reason ?? 'nothing of it is held any more' };
  }

  /** What the tables call held, and what stands in for the files that go, must be on disk. */
  const missingCopy = ({ newer, copies }: RemovedSet): Promise<string | null> =>
    missingFile(new Set([...newer.files.map(({ id }) => id), ...idsOnDisk(copies)]));

  /** @returns what is wrong with the first file that is not on disk as it was recorded */
  async function missingFile(ids: ReadonlySet<number>): Promise<string | null> {
    const sizeOf = db.sqlite.prepare<
      [number],
      { sizeBytes: number; mtimeMs: number | null; filename: string }
    >('SELECT size_bytes AS sizeBytes, stored_mtime_ms AS mtimeMs, filename FROM dumps WHERE id = ?');
    for (const id of ids) {
      const row = sizeOf.get(id);
      const { dump } = names(id);
      const found = dump === null ? null : await disk.stat(dump);
      if (row === undefined || found === null || !found.isFile || found.sizeBytes !== row.sizeBytes)
        return `${row?.filename ?? 'a file'}, which should stay in its place, is not on disk as recorded`;
      if (row.mtimeMs !== null && row.mtimeMs !== found.mtimeMs)
        return `${row.filename}, which should stay in its place, was changed since it was proved`;
    }
    return null;
  }

  async function presentOf(all: readonly string[]): Promise<string[]> {
    const present: string[] = [];
    for (const name of all) if ((await disk.stat(name)) !== null) present.push(name);
    return present;
  }

  /** @throws whatever the disk says; then the names that are left are met again at the next start */
  async function removeNames(all: readonly string[], present: readonly string[]): Promise<void> {
    for (const name of present) {
      await disk.remove(name);
      step('pruning:name_removed');
    }
    // Of names that were gone already, too: who removed them may have died before that was durable.
    for (const folder of new Set(all.map((name) => dirname(name))))
      if ((await disk.stat(folder)) !== null) await disk.syncDirectory(folder);
  }

  const carryOut: SetRemover['carryOut'] = async ({ id, dumpId, path }) => {
    // A tombstone that came from elsewhere must not name another file's place.
    if (names(dumpId).dump !== layout.absolute(path))
      return { isAllowed: false, reason: 'its row does not name the place that its tombstone names' };
    const first = verdictOf(dumpId);
    if (!first.isAllowed) return first;
    // A program that serves it would miss it, or fetch it.
    const waitsFor = await deps.ended.ofFile(dumpId);
    if (waitsFor !== null) return { waitsFor };
    // The tables do not know what happened to the disk while nobody lived to see it.
    const missing = await missingFile(new Set(idsOnDisk(first.copies)));
    if (missing !== null) return { isAllowed: false, reason: `golden rule: ${missing}` };
    // Under `dumps/` last: until then the deletion can be taken back.
    const all = [...names(dumpId).trees, layout.absolute(path)];
    const present = await presentOf(all);
    // While the disk was looked at, a copy may have been found to be damaged. From here on nothing is waited for but the unlinks.
    const verdict = verdictOf(dumpId);
    if (!verdict.isAllowed) return verdict;
    if (copiesOf(verdict) !== copiesOf(first))
      return { isAllowed: false, reason: 'golden rule: the copies that should stay changed just now' };
    await removeNames(all, present);
    step('pruning:removed');
    catalog.finishDeletion(id);
    step('pruning:recorded');
    return verdict;
  };

  /** The golden rule over what the tables say now. */
  function verdictOf(dumpId: number): GoldenVerdict {
    const row = db.sqlite
      .prepare<
        [number],
        {
          wikiDbName: string;
          source: string;
          runDate: string;
          dumpType: string;
          project: string;
          language: string;
        }
      >(
        `SELECT wiki_db_name AS wikiDbName, source, run_date AS runDate, dump_type AS dumpType, project, language
           FROM dumps WHERE id = ?`,
      )
      .get(dumpId);
    if (row === undefined) return { isAllowed: false, reason: 'golden rule: the file is not in the catalog' };
    const now = clock.now();
    const { policy } = deps;
    const scope = { ...row, runDates: [row.runDate], ids: [dumpId] };
    const facts = readFacts(db.sqlite, {
      ...{ now, scope, look: () => null },
      statsMaxAgeMs: policy.seedersMaxAgeMs,
    });
    const family = groupFiles(facts).families.get(familyKey(row));
    if (family === undefined)
      return { isAllowed: false, reason: 'golden rule: nothing is known of its project' };
    return goldenVerdict(
      family,
      { ids: new Set([dumpId]), wikis: new Set([row.wikiDbName]) },
      { now, remoteProofMaxAgeMs: policy.remoteProofMaxAgeMs },
    );
  }

  return {
    carryOut,
    ownNames,
    presentNames: (dumpId) => presentOf(ownNames(dumpId)),
    async remove(set) {
      const looks = new Map<number, DiskLook | null>();
      for (const id of set.ids) looks.set(id, await lookAt(id));
      const first = judge(set, looks);
      if (!('action' in first)) return refused(first.reason);
      const missing = await missingCopy(first);
      if (missing !== null) return refused(missing);
      const decided = db.transaction((): ReturnType<typeof catalog.beginDeletions> | { reason: string } => {
        const now = judge(set, looks);
        if (!('action' in now)) return { reason: now.reason };
        if (standIns(now) !== standIns(first)) return { reason: 'what should stay changed just now' };
        return catalog.beginDeletions(
          now.set.files
            .filter(({ isHeld }) => isHeld)
            .map((file) => ({
              dumpId: DumpFileId.parse(file.id),
              // How well it is seeded is not asked again.
              reason: set.rule === 'seeded' ? set.reason : now.reason,
              evidence: evidenceOf({ ...now, rule: set.rule === 'seeded' ? set.rule : now.rule }, file),
            })),
        );
      });
      if ('reason' in decided) return refused(decided.reason);
      step('pruning:decided');
      for (const torrentId of decided.retired) await retirement.stopSeeding(torrentId);
      const sizes = new Map(first.set.files.map(({ id, sizeBytes }) => [id, sizeBytes]));
      let files = 0;
      let sizeBytes = 0;
      const waiting: Waiting = { ...NOTHING_WAITS };
      let stuckFiles = 0;
      let refusal: string | null = null;
      for (const { id, dumpId, path } of decided.begun) {
        const ownBytes = sizes.get(dumpId) ?? 0;
        try {
          const verdict = await carryOut({ id, dumpId, path });
          if ('waitsFor' in verdict) {
            waiting.files += 1;
            waiting.sizeBytes += ownBytes;
            waiting.reason ??= verdict.waitsFor;
          } else if (verdict.isAllowed) {
            files += 1;
            sizeBytes += ownBytes;
            deps.onRemoved({ dumpId, sizeBytes: ownBytes });
          } else {
            refusal = verdict.reason;
            deps.takeBack(id);
          }
        } catch (error) {
          if (!isOfTheDisk(error)) throw error;
          stuckFiles += 1;
          stuck.note(`deletion:${id}`, path, error);
        }
      }
      for (const torrentId of decided.retired) await retirement.removeFolder(torrentId);
      if (files === 0 && (refusal !== null || waiting.files > 0 || stuckFiles > 0))
        return {
          isRemoved: false,
          reason: refusal ?? waiting.reason ?? stuck.text() ?? '',
          waiting,
          stuckFiles,
        };
      const { wikiDbName: wiki, source, runDate, dumpType, reason } = set;
      deps.log.info({ wiki, source, runDate, dumpType, files, sizeBytes, reason }, 'dump files were deleted');
      return { isRemoved: true, files, sizeBytes, waiting, stuckFiles };
    },
  };
}

const refused = (reason: string): SetOutcome => ({
  ...{ isRemoved: false, reason },
  ...{ waiting: NOTHING_WAITS, stuckFiles: 0 },
});

/** Files of the copies that stay on our own disk. */
const idsOnDisk = (copies: RemovedSet['copies']): number[] =>
  copies.filter(({ where }) => where === 'disk').flatMap(({ ids }) => [...ids]);

const copiesOf = ({ copies }: Pick<RemovedSet, 'copies'>): string =>
  JSON.stringify(copies.map(({ where, ids }) => [where, ids]));

/** What a set's deletion rests on. */
const standIns = ({ newer, copies }: RemovedSet): string =>
  JSON.stringify([newer.runDate, newer.files.map(({ id }) => id), copiesOf({ copies })]);
