import { selectNew } from './select-new.ts';
import { selectFirstForm, selectRecorded } from './select-recorded.ts';
import type { Selection, SelectionOptions } from './selection.ts';
import { torrentName } from './which-torrent.ts';

/**
 * Decides what belongs into a torrent. A torrent that was recorded carries what it carried, and says what it said: whatever
 * settled or changed since is told by a later one.
 * @throws PermanentError `nothing_to_supplement`
 */
export function selectFiles(options: SelectionOptions): Selection {
  const name = torrentName(options);
  const recorded = options.catalog
    .torrentsOfCycle(options.cycleDate)
    .find((torrent) => torrent.name === name);
  if (recorded === undefined) return selectNew(options);
  return recorded.payloadVersion === '1.0'
    ? selectFirstForm(options, recorded)
    : selectRecorded(options, recorded);
}
