import { html } from 'hono/html';
import { formatBytes } from '../../lib/index.ts';
import type {
  SwarmCount,
  TorrentDetail,
  TorrentFileState,
  TorrentGapState,
  TrackerState,
  WebseedState,
} from '../torrent-types.ts';
import { torrentKind, torrentState } from '../torrent-words.ts';
import type { Page, SeedingFact } from '../types.ts';
import {
  badge,
  count,
  empty,
  type Html,
  moment,
  pager,
  plural,
  query,
  section,
  table,
  time,
} from './parts.ts';
import { seederChart } from './seeder-chart.ts';
import { getLinks } from './torrents.ts';

/** What the page of one torrent is made from. */
export interface TorrentPageFacts {
  torrent: TorrentDetail;
  live: SeedingFact | undefined;
  webseeds: readonly WebseedState[];
  trackers: readonly TrackerState[];
  files: Page<TorrentFileState>;
  gaps: Page<TorrentGapState>;
  history: readonly SwarmCount[];
  now: number;
}

/** Everything about one torrent. */
export function torrentPage(facts: TorrentPageFacts): Html {
  const { torrent, live, files, gaps } = facts;
  const path = `/torrents/${torrent.infoHash}`;
  const problem = live?.problem ?? null;
  return html`<p class="back"><a href="/torrents">Torrents</a></p><h1>${torrent.name}</h1>
${section({
  id: 'torrent',
  title: 'Torrent',
  aside: html`${torrentKind(torrent)} ${badge(torrentState(torrent, live))}`,
  body: html`${problem === null ? '' : html`<p class="badtext">${problem}</p>`}
${factList(torrent, live)}
${getLinks(torrent)}<p class="none hash">Infohash ${torrent.infoHash}</p>`,
})}
${section({ id: 'seeders', title: 'Seeders over time', aside: 'others than us', body: seederChart(facts.history) })}
${section({ id: 'webseeds', title: 'Webseeds', aside: 'web servers that give its files', body: webseedTable(facts) })}
${section({ id: 'trackers', title: 'Trackers', aside: 'as they answered last', body: trackerTable(facts) })}
${
  gaps.total === 0
    ? ''
    : section({
        id: 'gaps',
        title: 'Not in it',
        body: html`${gapTable(gaps.items)}${pager(gaps, 'gap', (page) => `${path}${query({ gaps: page })}#gaps`)}`,
      })
}
${section({
  id: 'files',
  title: 'Dump files',
  body:
    files.total === 0
      ? empty('It carries no dump files.')
      : html`${fileTable(files.items)}${pager(files, 'file', (page) => `${path}${query({ files: page })}#files`)}`,
})}`;
}

function factList(torrent: TorrentDetail, live: SeedingFact | undefined): Html {
  const fact = (name: string, value: Html | string): Html =>
    html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  const known = (value: number | null): string => (value === null ? 'unknown' : count(value));
  const { alignFilesFromBytes: alignFrom } = torrent;
  return html`<dl class="facts">
${fact('Cycle', html`<a href="/cycles/${torrent.cycleDate}">${torrent.cycleDate}</a>`)}
${torrent.scope === null ? '' : fact('Of', torrent.scope)}
${torrent.runDate === null ? '' : fact('Run', `${torrent.source ?? ''} ${torrent.runDate}`)}
${torrent.part === 0 ? '' : fact('Part', String(torrent.part))}
${torrent.supplement === 0 ? '' : fact('Supplement', String(torrent.supplement))}
${fact('Size', formatBytes(torrent.sizeBytes))}
${fact('Files', count(torrent.fileCount))}
${fact('Pieces', `${count(torrent.pieceCount)} of ${pieceWords(torrent.pieceLength)}`)}
${alignFrom === null ? '' : fact('Begin on a piece', `files from ${formatBytes(alignFrom)}`)}
${fact('Other seeders', known(torrent.seeders))}
${fact('Leechers', known(torrent.leechers))}
${fact('Downloaded whole', torrent.completed === null ? 'unknown' : plural(torrent.completed, 'time'))}
${fact('Given by us', torrent.uploadedBytes === null ? 'unknown' : formatBytes(torrent.uploadedBytes))}
${live === undefined ? '' : fact('Peers here now', count(live.peers))}
${fact('Made', time(torrent.createdAt))}
${fact('Seeding since', torrent.seedingSince === null ? 'not yet' : time(torrent.seedingSince))}
${torrent.retiredAt === null ? '' : fact('Retired', time(torrent.retiredAt))}
${fact('Folder', torrent.infoName)}</dl>`;
}

/** Piece lengths are powers of two: `256 KiB`, `16 MiB`. */
function pieceWords(bytes: number): string {
  return bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : `${bytes / 2 ** 10} KiB`;
}

function webseedTable({ webseeds, now }: TorrentPageFacts): Html {
  if (webseeds.length === 0) return empty('None was looked at yet.');
  return table({
    name: 'Webseeds',
    heads: ['Address', 'State', 'Since', 'Looked at'],
    isStacked: true,
    rows: webseeds.map(
      ({
        url,
        state,
        reason,
        since,
        checkedAt,
      }) => html`<tr role="row"><th scope="row" role="rowheader" class="file">${url}${reason === null ? '' : html`<br><span class="${state === 'dead' ? 'badtext' : 'none'}">${reason}</span>`}</th>
<td role="cell" data-label="State"><span class="badge ${state === 'working' ? 'done' : state === 'dead' ? 'bad' : 'plain'}">${state}</span></td><td role="cell" data-label="Since">${moment(since, now)}</td><td role="cell" data-label="Looked at">${moment(checkedAt, now)}</td></tr>`,
    ),
  });
}

function trackerTable({ trackers, now }: TorrentPageFacts): Html {
  if (trackers.length === 0) return empty('It names none: peers find each other without.');
  return table({
    name: 'Trackers',
    heads: ['Address', 'Asked for numbers', 'Answer'],
    isStacked: true,
    rows: trackers.map(
      ({
        url,
        askedAt,
        answeredAt,
        problem,
        asked,
        known,
        restsUntil,
      }) => html`<tr role="row"><th scope="row" role="rowheader" class="file">${url}</th><td role="cell" data-label="Asked">${askedAt === null ? html`<span class="none">never</span>` : moment(askedAt, now)}</td>
<td role="cell" data-label="Answer" class="why"><span>${
        problem !== null
          ? html`<span class="${askedAt === null ? 'none' : 'badtext'}">${problem.message}</span>${answeredAt === null ? '' : html`<br><span class="none">last answered ${moment(answeredAt, now)}</span>`}`
          : askedAt === null
            ? html`<span class="none">not asked yet</span>`
            : html`knows ${count(known)} of ${plural(asked, 'torrent')}`
      }${problem !== null && restsUntil !== null && restsUntil - now > 3_600_000 ? html`<br><span class="none">asked again ${moment(restsUntil, now)}</span>` : ''}</span></td></tr>`,
    ),
  });
}

function gapTable(gaps: readonly TorrentGapState[]): Html {
  return table({
    name: 'What the torrent does not carry',
    heads: ['Wiki', 'File or dump type', 'Size', 'State', 'Reason'],
    numbers: [2],
    rows: gaps.map(
      (gap) => html`<tr><td>${gap.wikiDbName}</td><td class="file">${gap.filename ?? gap.dumpType}</td>
<td class="num">${gap.sizeBytes === null ? '–' : formatBytes(gap.sizeBytes)}</td><td class="kind">${gap.state.replaceAll('_', ' ')}</td><td class="why">${gap.reason}</td></tr>`,
    ),
  });
}

function fileTable(files: readonly TorrentFileState[]): Html {
  return table({
    name: 'Dump files of the torrent',
    heads: ['File', 'Size', 'State', 'Verified by'],
    numbers: [1],
    rows: files.map(
      ({ path, sizeBytes, status, verification }) =>
        html`<tr><td class="file">${path}</td><td class="num">${formatBytes(sizeBytes)}</td><td>${badge(status)}</td><td>${verification ?? html`<span class="none">nothing</span>`}</td></tr>`,
    ),
  });
}
