import { html } from 'hono/html';
import { formatBytes, formatRate } from '../../lib/index.ts';
import { GROUPING_WORDS } from '../cycle-types.ts';
import type { ListedTorrent, TorrentFilter } from '../torrent-types.ts';
import { torrentKind, torrentState } from '../torrent-words.ts';
import type { Page, SeedingFact, TorrentState } from '../types.ts';
import { badge, empty, type Html, pager, plural, query, section, time } from './parts.ts';

/** What the list is made from. */
export interface TorrentsPageFacts {
  torrents: Page<ListedTorrent>;
  filter: Pick<TorrentFilter, 'grouping' | 'cycleDate'>;
  /** Cycles that have torrents, newest first. */
  cycleDates: readonly string[];
  seeding: readonly SeedingFact[] | null;
}

/** All torrents, with what a volunteer needs to join. */
export function torrentsPage({ torrents, filter, cycleDates, seeding }: TorrentsPageFacts): Html {
  const isNarrowed = filter.grouping !== undefined || filter.cycleDate !== undefined;
  const live = liveBy(seeding);
  const option = (value: string, words: string, chosen: string | undefined): Html =>
    html`<option value="${value}"${value === chosen ? html` selected` : ''}>${words}</option>`;
  return html`<h1>Torrents</h1>
${
  cycleDates.length === 0
    ? ''
    : html`<form class="filter" method="get" action="/torrents" aria-label="Filter torrents">
<label>Kind <select name="kind"><option value="">any</option>${Object.entries(GROUPING_WORDS).map(([grouping, words]) => option(grouping, words, filter.grouping))}</select></label>
<label>Cycle <select name="cycle"><option value="">any</option>${cycleDates.map((date) => option(date, date, filter.cycleDate))}</select></label>
<button>Show</button>${isNarrowed ? html` <a href="/torrents">Show all</a>` : ''}</form>`
}
${section({
  id: 'torrents',
  title: isNarrowed ? 'These torrents' : 'All torrents',
  aside: 'seeders are others than us',
  body:
    torrents.items.length === 0
      ? empty(
          isNarrowed
            ? 'No torrent matches.'
            : 'None yet. They are made as soon as every file of a cycle is settled.',
        )
      : html`<ul class="torrents">${torrents.items.map((torrent) => listed(torrent, live.get(torrent.infoHash)))}</ul>
${pager(torrents, 'torrent', (page) => `/torrents${query({ kind: filter.grouping, cycle: filter.cycleDate, page })}`)}`,
})}`;
}

function listed(torrent: ListedTorrent, now: SeedingFact | undefined): Html {
  const problem = now?.problem ?? null;
  return html`<li><div class="name"><strong><a href="/torrents/${torrent.infoHash}">${torrent.name}</a></strong> ${badge(torrentState(torrent, now))}</div>
<p class="facts"><span>${torrentKind(torrent)}</span><span>cycle ${torrent.cycleDate}</span><span>${formatBytes(torrent.sizeBytes)}</span><span>${plural(torrent.fileCount, 'file')}</span>
${swarmWords(torrent, now).map((words) => html`<span>${words}</span>`)}<span>${webseedWords(torrent.webseeds)}</span></p>
${problem === null ? '' : html`<p class="badtext">${problem}</p>`}
${getLinks(torrent)}</li>`;
}

/** Torrents as a short list: name, size, swarm, the file, and the magnet link as a link and as text to copy. */
export function torrentList(torrents: readonly TorrentState[], seeding: readonly SeedingFact[] | null): Html {
  const live = liveBy(seeding);
  return html`<ul class="torrents">${torrents.map(
    (
      torrent,
    ) => html`<li><div class="name"><strong><a href="/torrents/${torrent.infoHash}">${torrent.name}</a></strong> <span class="none">cycle ${torrent.cycleDate}</span></div>
<p class="facts"><span>${formatBytes(torrent.sizeBytes)}</span><span>${plural(torrent.fileCount, 'file')}</span>
${swarmWords(torrent, live.get(torrent.infoHash)).map((words) => html`<span>${words}</span>`)}
<span>${torrent.seedingSince === null ? 'seeding starts soon' : html`seeding since ${time(torrent.seedingSince)}`}</span></p>
${getLinks(torrent)}
<p class="none hash">Infohash ${torrent.infoHash}</p></li>`,
  )}</ul>`;
}

/** The magnet link, the file, and the link as text to copy. */
export function getLinks(torrent: Pick<TorrentState, 'name' | 'magnetLink' | 'torrentFileUrl'>): Html {
  return html`<div class="get"><a class="button" href="${magnet(torrent.magnetLink)}">Magnet link</a>
<a class="button" href="${torrent.torrentFileUrl}" download>Torrent file</a>
<label><span class="hidden">Magnet link of ${torrent.name} for copying</span><input class="copy" readonly value="${torrent.magnetLink}" size="20"></label></div>`;
}

/** Who is in the swarm: unknown is a word, never a zero. */
export function swarmWords(
  torrent: Pick<TorrentState, 'seeders' | 'leechers'>,
  now: SeedingFact | undefined,
): string[] {
  const { seeders, leechers } = torrent;
  return [
    seeders === null ? 'other seeders unknown' : plural(seeders, 'other seeder'),
    leechers === null ? 'leechers unknown' : plural(leechers, 'leecher'),
    now === undefined ? '' : `${plural(now.peers, 'peer')} here`,
    now === undefined || now.uploadBytesPerSecond === 0
      ? ''
      : `sending ${formatRate(now.uploadBytesPerSecond)}`,
  ].filter((words) => words !== '');
}

/** `2 webseeds work, 1 is dead`. */
export function webseedWords({ working, dead, unproved }: ListedTorrent['webseeds']): string {
  if (working + dead + unproved === 0) return 'no webseeds';
  const words = [
    working === 0 ? 'no webseed works' : working === 1 ? '1 webseed works' : `${working} webseeds work`,
    dead === 0 ? '' : `${dead} dead`,
    unproved === 0 ? '' : `${unproved} unproved`,
  ];
  return words.filter((each) => each !== '').join(', ');
}

function liveBy(seeding: readonly SeedingFact[] | null): Map<string, SeedingFact> {
  return new Map((seeding ?? []).map((fact) => [fact.infoHash, fact]));
}

/** Our own column, but a link must never become a script whatever a table holds. */
function magnet(link: string): string {
  return link.startsWith('magnet:?') ? link : '#';
}
