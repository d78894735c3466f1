import { html } from 'hono/html';
import { formatBytes } from '../../lib/index.ts';
import type { CycleDetail } from '../cycle-types.ts';
import { type CycleState, FILE_STATUSES, type FileState, type FileStatus, type Page } from '../types.ts';
import { cycleDetail } from './cycle-detail.ts';
import { cycleCard, cycleTable } from './cycle-parts.ts';
import { badge, empty, type Html, pager, query, section, table } from './parts.ts';

/** All cycles. */
export function cyclesPage(cycles: readonly CycleState[]): Html {
  return html`<h1>Cycles</h1>
${section({
  id: 'cycles',
  title: 'All cycles',
  body:
    cycles.length === 0
      ? empty(
          'No cycle was opened yet. The newest one whose waiting time is over is opened after the first look at the wikis.',
        )
      : cycleTable(cycles),
})}`;
}

/** What the list of files is narrowed to. */
export interface FileFilterWords {
  status: FileStatus | undefined;
  wiki: string | undefined;
}

/** One cycle and its files. */
export function cyclePage(
  cycle: CycleState,
  detail: CycleDetail,
  files: Page<FileState>,
  filter: FileFilterWords,
  now: number,
): Html {
  const path = `/cycles/${cycle.cycleDate}`;
  return html`<p class="back"><a href="/cycles">Cycles</a></p><h1>Cycle ${cycle.cycleDate}</h1>
${cycleCard(cycle, now, { isLinked: false })}
${filter.status === undefined && filter.wiki === undefined && files.page === 1 ? cycleDetail(detail) : ''}
<form class="filter" method="get" action="${path}" aria-label="Filter files">
<label>State <select name="status"><option value="">any</option>${FILE_STATUSES.map(
    (status) =>
      html`<option value="${status}"${status === filter.status ? html` selected` : ''}>${status}</option>`,
  )}</select></label>
<label>Wiki <input name="wiki" value="${filter.wiki ?? ''}" placeholder="enwiki" pattern="[a-z0-9_]{1,64}" autocapitalize="none" spellcheck="false"></label>
<button>Show</button>${filter.status === undefined && filter.wiki === undefined ? '' : html` <a href="${path}">Show all</a>`}</form>
${section({
  id: 'files',
  title: 'Files',
  body:
    files.items.length === 0
      ? empty(
          filter.status === undefined && filter.wiki === undefined
            ? 'No file is known yet. They appear as wikis are looked at.'
            : 'No file matches.',
        )
      : html`${fileTable(files.items)}
${pager(files, 'file', (page) => `${path}${query({ status: filter.status, wiki: filter.wiki, page })}`)}`,
})}`;
}

function fileTable(files: readonly FileState[]): Html {
  return table({
    name: 'Files of the cycle',
    heads: ['Wiki', 'File', 'Size', 'State', 'Verified by'],
    numbers: [2],
    rows: files.map(
      (file) => html`<tr><td>${file.wikiDbName}</td>
<td class="file">${link(file.wikimediaUrl, file.filename)}${file.isHistory ? html` <span class="badge plain">history</span>` : ''}
${file.errorMessage === null ? '' : html`<br><span class="badtext">${file.errorMessage}</span>`}
${file.sha1 === null ? '' : html`<br><span class="none hash">SHA-1 ${file.sha1}</span>`}</td>
<td class="num">${formatBytes(file.sizeBytes)}</td><td>${badge(file.status)}</td>
<td>${file.verification ?? html`<span class="none">not yet</span>`}${file.iaUrl === null ? '' : html`<br>${link(file.iaUrl, 'Internet Archive')}`}</td></tr>`,
    ),
  });
}

/** Addresses come from upstream: only http and https may become links. */
function link(url: string, text: string): Html {
  return /^https?:\/\//i.test(url) ? html`<a href="${url}" rel="noreferrer">${text}</a>` : html`${text}`;
}
