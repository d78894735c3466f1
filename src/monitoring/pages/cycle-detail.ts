import { html } from 'hono/html';
import { formatBytes } from '../../lib/index.ts';
import { type CycleDetail, GAP_WORDS, type GapKind, GROUPING_WORDS, SOURCE_WORDS } from '../cycle-types.ts';
import { badge, count, type Html, plural, section, table, time } from './parts.ts';

/** Reasons and files on the page; `wikiseed cycles show --all` lists each. */
const GAPS_MAX = 40;
const REPLACED_MAX = 50;

/** Where a cycle's files come from, what it lacks and why, and what upstream changed afterwards. */
export function cycleDetail(detail: CycleDetail): Html {
  return html`${sources(detail)}${gaps(detail)}${replaced(detail)}${torrents(detail)}${supplements(detail)}`;
}

function sources({ sources: list, lateUntil }: CycleDetail): Html {
  if (list.length === 0) return html``;
  return section({
    id: 'sources',
    title: 'Sources',
    aside: lateUntil === null ? '' : html`late files are taken until ${time(lateUntil)}`,
    body: table({
      name: 'Sources of the cycle',
      heads: [
        'Source',
        'Runs finished',
        'Going on',
        'Absent',
        'Files held',
        'To fetch',
        'Failed',
        'Bytes held',
      ],
      numbers: [1, 2, 3, 4, 5, 6, 7],
      rows: list.map(
        ({ source, runs, files, bytes }) => html`<tr><th scope="row">${SOURCE_WORDS[source]}</th>
<td class="num">${count(runs.finished)}</td><td class="num">${count(runs.unfinished)}</td><td class="num">${count(runs.absent)}</td>
<td class="num">${count(files.held)} of ${count(files.expected)}</td><td class="num">${count(files.waiting)}</td>
<td class="num${files.failed > 0 ? ' badtext' : ''}">${count(files.failed)}</td>
<td class="num">${bytes.held === bytes.expected ? formatBytes(bytes.held) : `${formatBytes(bytes.held)} of ${formatBytes(bytes.expected)}`}</td></tr>`,
      ),
    }),
  });
}

function gaps({ gaps: groups }: CycleDetail): Html {
  if (groups.length === 0) return html``;
  const shown = groups.slice(0, GAPS_MAX);
  return section({
    id: 'gaps',
    title: 'Not taken, and why',
    body: html`${table({
      name: 'What the cycle lacks, by reason',
      heads: ['What', 'Source', 'Dump type', 'Wikis', 'Files', 'Reason'],
      numbers: [3, 4],
      rows: shown.map(
        (gap) => html`<tr><td>${tone(gap.kind)}</td><td>${SOURCE_WORDS[gap.source]}</td>
<td>${gap.dumpType === '*' ? 'the whole run' : gap.dumpType}</td><td class="num">${count(gap.wikis)}</td>
<td class="num">${gap.files === 0 ? html`<span class="none">–</span>` : count(gap.files)}</td><td class="why">${gap.reason}</td></tr>`,
      ),
    })}${
      groups.length > shown.length
        ? html`<p class="none more">and ${plural(groups.length - shown.length, 'more reason')}; <code>wikiseed cycles show</code> lists all</p>`
        : ''
    }`,
  });
}

const BAD: ReadonlySet<GapKind> = new Set([
  'failed',
  'quarantined',
  'missing',
  'failed_upstream',
  'lacking',
  'refused',
]);

function tone(kind: CycleDetail['gaps'][number]['kind']): Html {
  return html`<span class="badge ${BAD.has(kind) ? 'bad' : 'plain'}">${GAP_WORDS[kind]}</span>`;
}

function replaced({ replaced: files }: CycleDetail): Html {
  if (files.length === 0) return html``;
  const shown = files.slice(0, REPLACED_MAX);
  return section({
    id: 'replaced',
    title: 'Changed upstream after we took them',
    aside: plural(files.length, 'file'),
    body: html`${table({
      name: 'Held files that upstream published anew or withdrew',
      heads: ['Wiki', 'File', 'What', 'Ours', 'Theirs', 'Found'],
      numbers: [3, 4],
      rows: shown.map(
        (file) => html`<tr><td>${file.wikiDbName}</td><td class="file">${file.filename}</td>
<td>${badge(file.kind === 'replaced' ? 'published anew' : 'withdrawn')}</td><td class="num">${formatBytes(file.sizeBytes)}</td>
<td class="num">${file.newSizeBytes === null ? html`<span class="none">–</span>` : formatBytes(file.newSizeBytes)}</td><td>${time(file.foundAt)}</td></tr>`,
      ),
    })}${files.length > shown.length ? html`<p class="none more">and ${plural(files.length - shown.length, 'more file')}</p>` : ''}`,
  });
}

function torrents({ torrents: list }: CycleDetail): Html {
  if (list.length === 0) return html``;
  return section({
    id: 'cycle-torrents',
    title: 'Torrents',
    aside: list.length > 1 ? 'each kind carries the same files' : '',
    body: table({
      name: 'Torrents of the cycle, by kind',
      heads: ['Kind', 'Torrents', 'Seeding', 'Retired', 'Size'],
      numbers: [1, 2, 3, 4],
      rows: list.map(
        ({
          grouping,
          isUncompressed,
          torrents: all,
          seeding,
          retired,
          sizeBytes,
        }) => html`<tr><th scope="row">${GROUPING_WORDS[grouping]}${isUncompressed ? ', unpacked' : ''}</th>
<td class="num">${count(all)}</td><td class="num">${count(seeding)}</td><td class="num">${count(retired)}</td><td class="num">${formatBytes(sizeBytes)}</td></tr>`,
      ),
    }),
  });
}

function supplements({ supplements: list }: CycleDetail): Html {
  if (list.length === 0) return html``;
  return section({
    id: 'supplements',
    title: 'Supplements',
    body: html`<ul class="pairs">${list.map(
      (each) =>
        html`<li><span>${each.name}</span><span>${plural(each.fileCount, 'file')}, ${formatBytes(each.sizeBytes)}</span></li>`,
    )}</ul>`,
  });
}
