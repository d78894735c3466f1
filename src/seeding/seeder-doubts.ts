import type { SeedSpec } from './protocol.ts';
import type { Roster } from './roster.ts';
import { FOLDER_MISSING, type SeederEvents } from './seeder-events.ts';
import { refusalOf } from './seeder-launch.ts';

/**
 * Looks at those that could not be served and have no place now, one after the other: what an operator was told of them may be over
 * long before it is their turn.
 */
export async function lookAtDoubtful(deps: {
  roster: Pick<Roster, 'inDoubt' | 'isInDoubt' | 'failed' | 'cleared'>;
  events: Pick<SeederEvents, 'notLoaded' | 'found'>;
  /** @throws what it cannot be served with */
  look: (spec: SeedSpec) => Promise<unknown>;
  /** Nobody can look any more. */
  isOver: () => boolean;
}): Promise<void> {
  const { roster, events } = deps;
  /** What is wrong with a folder; null = it is there. One look is enough for all its torrents. */
  const folders = new Map<string, Error | null>();
  for (const { spec, doubt } of roster.inDoubt()) {
    const { infoHash, contentRoot } = spec;
    const isAboutFolder = refusalOf(doubt).code === FOLDER_MISSING;
    const known = isAboutFolder ? folders.get(contentRoot) : undefined;
    const problem =
      known !== undefined
        ? known
        : await deps.look(spec).then(
            () => null,
            (error: Error) => error,
          );
    if (deps.isOver()) return;
    folders.set(contentRoot, refusalOf(problem).code === FOLDER_MISSING ? problem : null);
    // It was retired or had its turn meanwhile.
    if (!roster.isInDoubt(infoHash)) continue;
    if (problem === null) {
      roster.cleared(infoHash);
      events.found(infoHash);
    } else {
      roster.failed(infoHash, problem);
      events.notLoaded(spec, problem);
    }
  }
}
