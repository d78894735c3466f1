import { dirname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Catalog, OpenDeletion } from '../catalog/index.ts';
import { step } from '../lib/steps.ts';
import type { Disk, Log } from '../ports/index.ts';
import { type Layout, openDeletionStep } from '../storage/index.ts';
import { isDumpFolderThere } from './dump-folder.ts';
import type { EndedSeeding } from './ended-seeding.ts';
import type { SetRemover } from './remove-set.ts';
import type { TorrentRetirement } from './retire-torrent.ts';
import { isOfTheDisk, type Stuck } from './stuck.ts';

/** What became of deletions that were decided and not recorded as done. */
export interface TakenUp {
  removed: number;
  takenBack: number;
}

/** Deletions passed by in one turn: a few milliseconds. */
const AT_ONCE = 200;

/**
 * Ends what a dead process began: each open deletion is judged again by the golden rule, and carried out or taken back. Idempotent;
 * killed at any point, the next call goes on. What the disk refuses is `stuck`, and holds up no other.
 * @throws whatever the disk says of the folder of dump files: a disk that is not mounted decides nothing
 */
export async function takeUpDeletions(deps: {
  catalog: Pick<Catalog, 'openDeletions' | 'finishDeletion'>;
  disk: Disk;
  layout: Layout;
  log: Log;
  remover: SetRemover;
  retirement: TorrentRetirement;
  ended: Pick<EndedSeeding, 'isOutOfReach'>;
  stuck: Pick<Stuck, 'note' | 'over'>;
  /** The last name of a file is gone. */
  onRemoved: (file: { dumpId: number; sizeBytes: number }) => void;
  /** See `RemoveDeps`. */
  takeBack: (deletionId: number) => void;
}): Promise<TakenUp> {
  const { catalog, disk, log, remover, stuck } = deps;
  const taken: TakenUp = { removed: 0, takenBack: 0 };
  const open = catalog.openDeletions();
  // Without their disk the absence of files says nothing.
  if (open.length > 0 && !(await isDumpFolderThere(disk, deps.layout))) {
    log.error(
      { folder: deps.layout.dumps },
      'the folder of dump files is not there or empty; deletions wait for it',
    );
    return taken;
  }

  async function takeUp({ id, dumpId, path, sizeBytes, ourStatus, wikiDbName }: OpenDeletion): Promise<void> {
    const names = dumpId === null ? [] : await remover.presentNames(dumpId);
    const isDeleted = ourStatus === 'deleted' && dumpId !== null;
    const verdict =
      isDeleted && names.length > 0
        ? await remover.carryOut({ id, dumpId, path })
        : ({ isAllowed: false, reason: 'nothing is left to be removed' } as const);
    // It may still be seeded: it stays decided, and is taken up again.
    if ('waitsFor' in verdict) return;
    const next = openDeletionStep({ isDeleted, names: names.length, verdict });
    switch (next) {
      case 'carry_out':
        taken.removed += 1;
        break;
      case 'finish':
        catalog.finishDeletion(id);
        taken.removed += 1;
        break;
      case 'take_back': {
        // What died may have removed some of its names; a torrent that is retired no more needs its own, too.
        if (dumpId !== null) await bringBack(disk, remover.ownNames(dumpId), names);
        deps.takeBack(id);
        taken.takenBack += 1;
        const reason = verdict.isAllowed ? '' : verdict.reason;
        log.warn({ wiki: wikiDbName, path, reason }, 'a deletion was taken back');
        break;
      }
      case 'forget':
        deps.takeBack(id);
        break;
    }
    const isRemoved = next === 'carry_out' || next === 'finish';
    if (isRemoved && isDeleted) deps.onRemoved({ dumpId, sizeBytes });
    step('pruning:taken_up');
  }

  let passedBy = 0;
  for (const deletion of open) {
    const { id, dumpId, path } = deletion;
    // Judged each time that a program is away, thousands of them would hold up every start for minutes: it is judged when somebody answers.
    if (dumpId !== null && deps.ended.isOutOfReach(dumpId)) {
      passedBy += 1;
      if (passedBy % AT_ONCE === 0) await nextTurn();
      continue;
    }
    try {
      await takeUp(deletion);
      stuck.over(`deletion:${id}`);
    } catch (error) {
      if (!isOfTheDisk(error)) throw error;
      stuck.note(`deletion:${id}`, path, error);
    }
  }
  await deps.retirement.removeLeftFolders();
  return taken;
}

/** Gives a file its missing names again; `present` are those that are left of all of them. */
async function bringBack(disk: Disk, all: readonly string[], present: readonly string[]): Promise<void> {
  const [from] = present;
  if (from === undefined) return;
  for (const name of all) {
    if (present.includes(name)) continue;
    await disk.makeDirectory(dirname(name));
    await disk.link(from, name);
    await disk.syncDirectory(dirname(name));
  }
}
