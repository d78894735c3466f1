import { html } from 'hono/html';
import { formatBytes } from '../../lib/index.ts';
import type { CycleState } from '../types.ts';
import { badge, bar, count, distance, type Html, percent, plural, section, table, time } from './parts.ts';

/** One cycle in full: its stage, how far it is, and what is still missing. */
export function cycleCard(cycle: CycleState, now: number, options: { isLinked?: boolean } = {}): Html {
  const { files, bytes } = cycle;
  const filesDone = files.held + files.deleted;
  const filesPercent = percent(filesDone, files.expected);
  const fact = (name: string, value: string, href?: string, tone = ''): Html =>
    html`<div><dt>${name}</dt><dd class="${tone}">${href === undefined ? value : html`<a href="${href}">${value}</a>`}</dd></div>`;
  const at = `/cycles/${cycle.cycleDate}`;
  return section({
    id: 'cycle',
    title: options.isLinked === false ? 'Progress' : `Cycle ${cycle.cycleDate}`,
    aside: html`${cycle.includesHistory ? 'with full history' : 'without history'}${
      options.isLinked === false ? '' : html` · <a href="${at}">All files</a>`
    }`,
    body: html`${stages(cycle)}
<div class="meters">
<div><p><span>Files held</span> <strong>${filesPercent === null ? '–' : `${filesPercent} %`}</strong></p>
${bar({ label: 'Files held', done: filesDone, total: Math.max(files.expected, 1) })}
<p class="none">${count(filesDone)} of ${plural(files.expected, 'file')}</p></div>
<div><p><span>Bytes held</span> <strong>${percent(bytes.held, bytes.expected) === null ? '–' : `${percent(bytes.held, bytes.expected)} %`}</strong></p>
${bar({ label: 'Bytes held', done: bytes.held, total: Math.max(bytes.expected, 1) })}
<p class="none">${formatBytes(bytes.held)} of ${formatBytes(bytes.expected)}</p></div>
</div>
<dl class="facts">
${fact('Runs', count(cycle.runs.total))}
${fact('Still dumping upstream', count(cycle.runs.unfinished))}
${fact('No run', count(cycle.runs.absent))}
${fact('To fetch', count(files.pending), files.pending > 0 ? `${at}?status=pending` : undefined)}
${fact('In torrents', count(files.included), files.included > 0 ? `${at}?status=included` : undefined)}
${fact('At the Internet Archive', count(files.uploaded))}
${fact('Failed', count(files.failed), files.failed > 0 ? `${at}?status=failed` : undefined, files.failed > 0 ? 'badtext' : '')}
${fact('Quarantined', count(files.quarantined), files.quarantined > 0 ? `${at}?status=quarantined` : undefined, files.quarantined > 0 ? 'badtext' : '')}
</dl>
<p class="none">${nextStep(cycle, now)}</p>`,
  });
}

function stages(cycle: CycleState): Html {
  const steps: [string, number | null][] = [
    ['Open', cycle.openedAt],
    ['Sealed', cycle.sealedAt],
    ['Torrented', cycle.torrentedAt],
    ['Seeding', cycle.seedingAt],
    ['Published', cycle.publishedAt],
  ];
  const names = ['open', 'sealed', 'torrented', 'seeding', 'published'];
  const reached = names.indexOf(cycle.status);
  return html`<ol class="stages" aria-label="Stages of the cycle">${steps.map(
    ([name, at], index) =>
      html`<li class="${index <= reached ? 'reached' : 'ahead'}"${index === reached ? html` aria-current="step"` : ''}><span>${name}</span>${
        index <= reached && at !== null
          ? time(at)
          : html`<span class="none">${index <= reached ? 'done' : 'to come'}</span>`
      }</li>`,
  )}</ol>`;
}

function nextStep(cycle: CycleState, now: number): Html {
  if (cycle.status === 'published')
    return html`Published ${time(cycle.publishedAt)}. It is seeded from here on.`;
  if (cycle.status === 'seeding') return html`The manifest is published next.`;
  if (cycle.status === 'torrented') return html`Seeding starts next.`;
  if (cycle.status === 'sealed') return html`Its torrents are made next.`;
  if (cycle.scannedAt === null) return html`Wikis are still being looked at, so the expected numbers grow.`;
  return html`Sealed when every file is settled, at the latest ${distance(cycle.deadlineAt, now)}, at ${time(cycle.deadlineAt)}.`;
}

/** Cycles as rows; `isShort` leaves out what fits only on a page of its own. */
export function cycleTable(cycles: readonly CycleState[], options: { isShort?: boolean } = {}): Html {
  const isShort = options.isShort ?? false;
  const share = (done: number, all: number, write: (value: number) => string): string =>
    done === all ? write(all) : `${write(done)} of ${write(all)}`;
  return table({
    name: 'Cycles',
    heads: [
      'Cycle',
      'State',
      'Runs',
      'Files held',
      'Bytes held',
      'Failed',
      ...(isShort ? [] : ['Opened']),
      'Published',
    ],
    numbers: [2, 3, 4, 5],
    rows: cycles.map((cycle) => {
      const { files, bytes } = cycle;
      const failed = files.failed + files.quarantined;
      return html`<tr><th scope="row" class="date"><a href="/cycles/${cycle.cycleDate}">${cycle.cycleDate}</a></th><td>${badge(cycle.status)}</td>
<td class="num">${count(cycle.runs.total)}</td><td class="num">${share(files.held + files.deleted, files.expected, count)}</td>
<td class="num">${share(bytes.held, bytes.expected, formatBytes)}</td>
<td class="num${failed > 0 ? ' badtext' : ' none'}">${count(failed)}</td>${isShort ? '' : html`<td>${time(cycle.openedAt)}</td>`}<td>${time(cycle.publishedAt)}</td></tr>`;
    }),
  });
}
