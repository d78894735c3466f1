import { html } from 'hono/html';
import { formatBytes, formatRate } from '../../lib/index.ts';
import type { Page, SeedingFact, TorrentState } from '../types.ts';
import { empty, type Html, pager, plural, query, section, time } from './parts.ts';

/** All torrents, with what a volunteer needs to join. */
export function torrentsPage(torrents: Page<TorrentState>, seeding: readonly SeedingFact[] | null): Html {
  return html`<h1>Torrents</h1>
${section({
  id: 'torrents',
  title: 'All torrents',
  body:
    torrents.items.length === 0
      ? empty('None yet. They are made as soon as every file of a cycle is settled.')
      : html`${torrentList(torrents.items, seeding)}
${pager(torrents, 'torrent', (page) => `/torrents${query({ page })}`)}`,
})}`;
}

/** Torrents as a list: name, size, swarm, the file, and the magnet link as a link and as text to copy. */
export function torrentList(torrents: readonly TorrentState[], seeding: readonly SeedingFact[] | null): Html {
  const live = new Map((seeding ?? []).map((fact) => [fact.infoHash, fact]));
  return html`<ul class="torrents">${torrents.map((torrent) => {
    const now = live.get(torrent.infoHash);
    const swarm = [
      torrent.seeders === null ? '' : plural(torrent.seeders, 'seeder'),
      torrent.leechers === null ? '' : plural(torrent.leechers, 'leecher'),
      now === undefined ? '' : `${plural(now.peers, 'peer')} here`,
      now === undefined || now.uploadBytesPerSecond === 0
        ? ''
        : `sending ${formatRate(now.uploadBytesPerSecond)}`,
    ].filter((words) => words !== '');
    return html`<li><div class="name"><strong>${torrent.name}</strong> <span class="none">cycle ${torrent.cycleDate}</span></div>
<p class="facts"><span>${formatBytes(torrent.sizeBytes)}</span><span>${plural(torrent.fileCount, 'file')}</span>
${swarm.map((words) => html`<span>${words}</span>`)}
<span>${torrent.seedingSince === null ? 'seeding starts soon' : html`seeding since ${time(torrent.seedingSince)}`}</span></p>
<div class="get"><a class="button" href="${magnet(torrent.magnetLink)}">Magnet link</a>
<a class="button" href="${torrent.torrentFileUrl}" download>Torrent file</a>
<label><span class="hidden">Magnet link of ${torrent.name} for copying</span><input class="copy" readonly value="${torrent.magnetLink}" size="20"></label></div>
<p class="none hash">Infohash ${torrent.infoHash}</p></li>`;
  })}</ul>`;
}

/** Our own column, but a link must never become a script whatever a table holds. */
function magnet(link: string): string {
  return link.startsWith('magnet:?') ? link : '#';
}
