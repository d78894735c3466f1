import type { Bus } from '../events/index.ts';
import { formatBytes, Interrupted, RetryableError, TorrentId } from '../lib/index.ts';
import type { Clock, Disk, Log } from '../ports/index.ts';
import { bytesToFree, isClosed, type Layout, type PrunePolicy, type PruneUsage } from '../storage/index.ts';
import { isDumpFolderThere } from './dump-folder.ts';
import type { ItemToProve } from './make-plan.ts';
import type { Planner, PlanOutline } from './planner.ts';
import type { ProofWaits } from './proof-waits.ts';
import type { SetRemover } from './remove-set.ts';
import type { TorrentRetirement } from './retire-torrent.ts';
import type { Stuck } from './stuck.ts';
import type { TakenUp } from './take-up.ts';
import { NOTHING_WAITS, type Waiting, waitText } from './waiting.ts';

/** What one prune did. */
export interface PruneReport {
  neededBytes: number;
  /** Dump files and unpacked ones. */
  removedBytes: number;
  removedFiles: number;
  removedSets: number;
  /** Torrents of unpacked files that went before any dump file. */
  removedTorrents: number;
  refusedSets: number;
  /** Sets that wait for an answer of the archive. */
  waitingSets: number;
  /** What was decided on, now or before, and goes as soon as nobody seeds it any more. It counts as used until then. */
  waitingFiles: number;
  waitingBytes: number;
  /** Why one of them does, as an example. */
  waitingReason: string | null;
  /** Deletions and folders of torrents that the disk refuses to remove; nothing waits for them. */
  stuck: number;
  /** Items whose proofs are too old; when the caller asks, only those that are to be asked about now. */
  items: ItemToProve[];
  summary: string;
}

/** What it needs. */
export interface PruneDeps {
  disk: Disk;
  layout: Layout;
  clock: Clock;
  bus: Bus;
  log: Log;
  planner: Planner;
  remover: SetRemover;
  retirement: Pick<TorrentRetirement, 'retireUnpacked'>;
  stuck: Pick<Stuck, 'count' | 'text' | 'tell'>;
  takeUp: () => Promise<TakenUp>;
  /** What is left waiting when that is done; see `lookForWaiting`. */
  waiting: () => Promise<Waiting>;
  /** Whoever seeds, as people call it. */
  seedingProgram: string;
  /** The catalog says that a file of ours is on disk. */
  isAnythingHeld: () => boolean;
  /** Measured now; rejects when it cannot be measured. */
  usage: () => Promise<PruneUsage>;
  policy: Omit<PrunePolicy, 'neededBytes'>;
  waits: Pick<ProofWaits, 'look'>;
}

/** Raised when what may go is less than what must. */
export const ALERT_KEY = 'prune_not_enough';
/** Sets in a row of which the disk removed nothing, and it is taken to be the disk's trouble: each more would end the seeding of its torrents. */
const REFUSED_MAX = 3;

/** Deletes until there is room; what it promises is in docs/storage.md. */
export type Prune = (
  signal: AbortSignal,
  options?: {
    onProgress?: (doneBytes: number, totalBytes: number) => void;
    /** Default: as the daemon measures it. */
    usage?: () => Promise<PruneUsage>;
    /** The caller asks the archive about `items` and prunes again when it knows more. Default: nobody asks, so nothing waits. */
    isAsking?: boolean;
  },
) => Promise<PruneReport>;

/** One at a time: its job is the only one of its kind, and a command works only where no daemon does. */
export function createPrune(deps: PruneDeps): Prune {
  const { disk, layout, clock, bus, log, policy } = deps;
  /** Over all prunes, so that those of a day do not each decide on some more in vain; once it is too many, each tries one. */
  let refusedInRow = 0;

  return async (signal, { onProgress, usage: measure = deps.usage, isAsking = false } = {}) => {
    if ((await deps.takeUp()).removed > 0) refusedInRow = 0;
    deps.stuck.tell();
    const report: PruneReport = {
      ...{ neededBytes: 0, removedBytes: 0, removedFiles: 0, removedSets: 0, removedTorrents: 0 },
      ...{ refusedSets: 0, waitingSets: 0, waitingFiles: 0, waitingBytes: 0, waitingReason: null },
      ...{ stuck: 0, items: [], summary: '' },
    };
    const noteWaiting = ({ files, sizeBytes, reason }: Waiting): void => {
      report.waitingFiles += files;
      report.waitingBytes += sizeBytes;
      report.waitingReason ??= reason;
    };
    // A first start on a full disk: that nothing is there is no missing fact then, and trying again would not change it.
    if (!deps.isAnythingHeld()) return { ...report, summary: 'no dump file is held: nothing was deleted' };
    const usage = await measure();
    const neededBytes = bytesToFree(usage);
    report.neededBytes = neededBytes;
    if (neededBytes === 0) {
      bus.emit('alert:resolved', { key: ALERT_KEY });
      return { ...report, summary: 'no room is needed: nothing was deleted' };
    }
    if (!(await isDumpFolderThere(disk, layout)))
      throw new RetryableError(
        'prune_no_facts',
        `${layout.dumps} holds nothing, so nothing is deleted: is the disk mounted?`,
      );
    const before = await deps.waiting();
    noteWaiting(before);
    const plan = await deps.planner.plan(
      { now: clock.now(), policy: { ...policy, neededBytes }, waitingBytes: before.sizeBytes },
      { signal },
    );
    const items = policy.uploadsEnabled ? plan.items : [];
    const { toAsk, isWaiting } = deps.waits.look(items);
    report.items = isAsking ? toAsk : items;
    // With room for what runs there is time to ask the archive first, whose answer may change the order.
    const isPatient = isAsking && isWaiting && !isClosed(usage.mode);
    for (const { torrentId, action, files, sizeBytes } of plan.unpacked) {
      if (action === 'keep') continue;
      if (signal.aborted) throw new Interrupted();
      const freed = await deps.retirement.retireUnpacked(TorrentId.parse(torrentId));
      if (freed === 'waiting') noteWaiting({ ...NOTHING_WAITS, files, sizeBytes });
      if (freed === null || freed === 'waiting' || freed === 'stuck') continue;
      report.removedTorrents += 1;
      report.removedBytes += freed.sizeBytes;
      onProgress?.(report.removedBytes, neededBytes);
    }
    for (const set of plan.removed) {
      if (signal.aborted) throw new Interrupted();
      if (report.removedBytes + report.waitingBytes >= neededBytes) break;
      if (set.rule === 'older' && isPatient) {
        report.waitingSets += 1;
        continue;
      }
      const outcome = await deps.remover.remove(set);
      noteWaiting(outcome.waiting);
      if (outcome.isRemoved) refusedInRow = 0;
      else if (outcome.stuckFiles > 0) refusedInRow += 1;
      if (outcome.stuckFiles > 0 && refusedInRow >= REFUSED_MAX) {
        deps.stuck.tell();
        throw new RetryableError('prune_refused', `nothing more is deleted: ${deps.stuck.text()}`, {
          hint: 'The disk refused one set after the other. Look whether it is mounted read-only, and who owns the files.',
        });
      }
      if (outcome.isRemoved) {
        report.removedSets += 1;
        report.removedFiles += outcome.files;
        report.removedBytes += outcome.sizeBytes;
        onProgress?.(report.removedBytes, neededBytes);
      } else if (outcome.waiting.files === 0 && outcome.stuckFiles === 0) {
        report.refusedSets += 1;
        const { wikiDbName: wiki, source, runDate, dumpType } = set;
        log.warn(
          { wiki, source, runDate, dumpType, reason: outcome.reason },
          'planned to be deleted, but kept',
        );
      }
    }
    report.stuck = deps.stuck.count();
    report.summary = summaryOf(report, deps.seedingProgram, deps.stuck.text());
    tell(report, plan);
    return report;
  };

  function tell(report: PruneReport, plan: PlanOutline): void {
    const { neededBytes, removedBytes, waitingSets, waitingFiles, waitingBytes } = report;
    const { removedFiles: files, removedSets: sets, removedTorrents: torrents, stuck } = report;
    log.info(
      { neededBytes, removedBytes, files, sets, torrents, waitingFiles, waitingBytes, stuck },
      'pruned',
    );
    deps.stuck.tell();
    if (removedBytes >= neededBytes) bus.emit('alert:resolved', { key: ALERT_KEY });
    else if (removedBytes + waitingBytes >= neededBytes)
      bus.emit('alert:raised', {
        key: ALERT_KEY,
        severity: 'warn',
        message: `${formatBytes(neededBytes)} should be freed; ${waitText(waitingOf(report), deps.seedingProgram)}`,
        hint: `Nothing else is deleted in their place. Look whether ${deps.seedingProgram} runs and answers; what is still in it after that can be removed there, without its files.`,
      });
    else if (waitingSets === 0)
      bus.emit('alert:raised', {
        key: ALERT_KEY,
        severity: 'warn',
        message: `${formatBytes(neededBytes)} should be freed, but only ${formatBytes(removedBytes + waitingBytes)} may be deleted${waitingFiles === 0 ? '' : `, and ${waitText(waitingOf(report), deps.seedingProgram)}`}; ${stuck === 0 ? '' : `${deps.stuck.text()}; `}most of what stays: ${mostKept(plan)}`,
        hint: 'Look at "wikiseed prune --dry-run"; give WikiSeed more room (a larger disk, storage.max_size), or let others hold copies. The last verified copy of a wiki is never deleted.',
      });
  }
}

const waitingOf = ({ waitingFiles, waitingBytes, waitingReason }: PruneReport): Waiting => ({
  files: waitingFiles,
  sizeBytes: waitingBytes,
  reason: waitingReason,
});

function summaryOf(report: PruneReport, program: string, stuckText: string | null): string {
  const { neededBytes, removedBytes, removedFiles, removedSets, removedTorrents } = report;
  const { refusedSets, waitingSets } = report;
  const parts = [
    `${removedTorrents > 0 ? `${removedTorrents} ${removedTorrents === 1 ? 'torrent' : 'torrents'} of unpacked files and ` : ''}${removedFiles} files of ${removedSets} sets deleted, ${formatBytes(removedBytes)} of ${formatBytes(neededBytes)} needed`,
    ...(refusedSets > 0 ? [`${refusedSets} sets kept after a second look`] : []),
    ...(report.waitingFiles > 0 ? [waitText(waitingOf(report), program)] : []),
    ...(stuckText === null ? [] : [stuckText]),
    ...(waitingSets > 0 ? [`${waitingSets} sets wait for the Internet Archive's answer`] : []),
  ];
  return parts.join('; ');
}

function mostKept({ kept }: PlanOutline): string {
  const words = kept
    .filter(({ rule }) => rule !== 'not_needed')
    .slice(0, 3)
    .map(({ rule, sizeBytes }) => `${rule.replaceAll('_', ' ')} ${formatBytes(sizeBytes)}`);
  return words.length === 0 ? 'nothing' : words.join(', ');
}
