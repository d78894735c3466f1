import { type CycleTorrents, GROUPING_WORDS } from './cycle-types.ts';
import type { ListedTorrent } from './torrent-types.ts';

/** What an engine says of a torrent. */
type Live = { state?: string | undefined } | undefined;

/** Its state in one word: of the engine, where that is known, else what was asked for. */
export function torrentState(
  { retiredAt, seedingSince }: Pick<ListedTorrent, 'retiredAt' | 'seedingSince'>,
  live: Live,
): 'retired' | 'seeding' | 'checking' | 'resting' | 'stopped' | 'broken' | 'waiting' {
  if (retiredAt !== null) return 'retired';
  const state = live?.state;
  if (
    state === 'seeding' ||
    state === 'checking' ||
    state === 'resting' ||
    state === 'stopped' ||
    state === 'broken'
  )
    return state;
  return seedingSince === null ? 'waiting' : 'seeding';
}

/** What kind of torrent it is: `whole cycle, history`, `whole cycle, supplement 1`, `one wiki`. */
export function torrentKind(
  torrent: Pick<ListedTorrent, 'isHistory' | 'isUncompressed' | 'supplement'> & {
    grouping: CycleTorrents['grouping'];
  },
): string {
  const { grouping, isHistory, isUncompressed, supplement } = torrent;
  return `${GROUPING_WORDS[grouping]}${isHistory ? ', history' : ''}${isUncompressed ? ', unpacked' : ''}${supplement > 0 ? `, supplement ${supplement}` : ''}`;
}
