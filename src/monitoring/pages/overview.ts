import { html } from 'hono/html';
import { formatBytes, formatRate } from '../../lib/index.ts';
import { bytesText } from '../live-feed.ts';
import { sentenceCase, wordsOf } from '../operator-words.ts';
import type { StatusReport } from '../status.ts';
import type { JobFailure, RunningJob, WakeUp } from '../types.ts';
import { cycleCard, cycleTable } from './cycle-parts.ts';
import { careParts, wantedParts } from './operator-parts.ts';
import {
  badge,
  bar,
  coarse,
  count,
  distance,
  empty,
  type Html,
  moment,
  percent,
  plural,
  section,
  table,
} from './parts.ts';
import { storageBody } from './storage-bar.ts';
import { torrentList } from './torrents.ts';

/** Everything an operator wants to know in five seconds, most urgent first. */
export function overviewPage(report: StatusReport): Html {
  const [newest, ...older] = report.cycles;
  return html`<h1 class="hidden">Overview</h1>
${verdict(report)}
${wantedParts(report)}
<div class="columns">
<div class="main">
${
  newest === undefined
    ? section({
        id: 'cycle',
        title: 'No cycle yet',
        body: empty(
          `WikiSeed first asks Wikimedia for the list of wikis, then opens the newest cycle whose waiting time is over. ${nextWords(report)}`,
        ),
      })
    : cycleCard(newest, report.at)
}
${running(report)}
${torrents(report)}
${report.failures.length === 0 ? '' : failures(report)}
${older.length === 0 ? '' : section({ id: 'older', title: 'Earlier cycles', aside: html`<a href="/cycles">All cycles</a>`, body: cycleTable(older, { isShort: true }) })}
</div>
<div class="side">
${section({ id: 'storage', title: 'Storage', body: storageBody(report.storage) })}
${wakeUps(report)}
${queue(report)}
${careParts(report)}
</div>
</div>`;
}

function torrents(report: StatusReport): Html {
  return section({
    id: 'torrents',
    title: 'Torrents',
    aside: html`${seedingWords(report)} ${report.torrentCount > report.torrents.length ? html`<a href="/torrents">All ${count(report.torrentCount)} torrents</a>` : ''}`,
    body:
      report.torrents.length === 0
        ? empty('None yet. They are made as soon as every file of the cycle is settled.')
        : torrentList(report.torrents, report.seeding),
  });
}

function verdict(report: StatusReport): Html {
  const { level, reasons } = report.verdict;
  const [first, ...rest] = reasons;
  const title = { good: 'All is well', attention: 'Worth a look', stopped: 'Work has stopped' }[level];
  return html`<section class="verdict ${level}" data-live="verdict" aria-label="Verdict" role="status">
<p class="title"><span class="dot" aria-hidden="true"></span>${title}</p>
<div class="why"><p>${first ?? doingWords(report)}</p>${rest.map((reason) => html`<p>${reason}</p>`)}</div>
</section>`;
}

function doingWords(report: StatusReport): string {
  const rate = report.running.reduce((sum, job) => sum + (job.bytesPerSecond ?? 0), 0);
  const at = rate > 0 ? ` at ${formatRate(rate)}` : '';
  if (report.running.length > 0) return `${plural(report.running.length, 'job')} at work${at}.`;
  if (report.jobs.length === 0) return 'Freshly set up: the first look at the wikis comes next.';
  if (report.dueSince !== null) return 'Jobs are due and will be taken in a moment.';
  return `Nothing to do right now. ${nextWords(report)}`;
}

function nextWords(report: StatusReport): string {
  const next = report.wakeUps[0];
  return next === undefined ? '' : `Next: ${wordsOf(next.name)}, ${distance(next.at, report.at)}.`;
}

function running(report: StatusReport): Html {
  const aside = report.running.length === 0 ? undefined : plural(report.running.length, 'job');
  const body =
    report.running.length === 0
      ? empty(`Nothing is running. ${nextWords(report)}`)
      : html`<ul class="running">${report.running.slice(0, 30).map((job) => runningItem(job, report.at))}</ul>
${report.running.length > 30 ? html`<p class="more"><a href="/jobs?status=in_progress">All running jobs</a></p>` : ''}`;
  return section({ id: 'running', title: 'Running now', aside, body });
}

function runningItem(job: RunningJob, now: number): Html {
  const name = `${wordsOf(job.jobType)} ${job.subject ?? job.id}`;
  const done =
    job.doneBytes !== null && job.totalBytes !== null ? percent(job.doneBytes, job.totalBytes) : null;
  return html`<li data-job="${job.id}">
<p class="what"><a href="/jobs/${job.id}">${sentenceCase(wordsOf(job.jobType))}</a> <span class="subject">${job.subject ?? ''}</span></p>
${bar({ label: `Progress of ${name}`, done: job.doneBytes, total: job.totalBytes })}
<p class="facts"><span data-part="percent">${done === null ? '' : `${done} %`}</span>
<span data-part="bytes">${bytesText(job)}</span>
<span data-part="rate">${job.bytesPerSecond === null ? '' : formatRate(job.bytesPerSecond)}</span>
<span>${leftWords(job)}</span>
<span>${job.startedAt === null ? '' : `running ${coarse(now - job.startedAt)}`}${job.attempt > 1 ? `, attempt ${job.attempt}` : ''}</span></p></li>`;
}

function leftWords(job: RunningJob): string {
  if (job.doneBytes === null || job.totalBytes === null || !job.bytesPerSecond) return '';
  const leftMs = ((job.totalBytes - job.doneBytes) / job.bytesPerSecond) * 1000;
  return leftMs > 0 ? `${coarse(leftMs)} left` : '';
}

function failures(report: StatusReport): Html {
  return section({
    id: 'failures',
    title: 'Failures',
    aside: html`<a href="/jobs?status=failed">All failed jobs</a>`,
    body: html`<ul class="running">${report.failures.map((failure) => failureItem(failure, report.at))}</ul>`,
  });
}

function failureItem(failure: JobFailure, now: number): Html {
  return html`<li><p class="what"><a href="/jobs/${failure.id}">${sentenceCase(wordsOf(failure.jobType))}</a> <span class="subject">${failure.subject ?? ''}</span></p>
<p class="reason">${failure.message} ${failure.code === null ? '' : html`<code>${failure.code}</code>`}</p>
<p class="facts"><span>${failure.nextAttemptAt === null ? badge(failure.status) : html`tried again ${moment(failure.nextAttemptAt, now)}`}</span>
<span>attempt ${failure.attempt} of ${failure.maxAttempts}</span><span>${moment(failure.at, now)}</span></p></li>`;
}

function wakeUps(report: StatusReport): Html {
  const item = (wakeUp: WakeUp): Html =>
    html`<li><span>${wakeUp.jobId === null ? wordsOf(wakeUp.name) : html`<a href="/jobs/${wakeUp.jobId}">${wordsOf(wakeUp.name)}</a>`}</span>
${moment(wakeUp.at, report.at)}</li>`;
  return section({
    id: 'wakeups',
    title: 'Next wake-ups',
    body:
      report.wakeUps.length === 0
        ? empty('Nothing is scheduled. WikiSeed sets its schedules when it starts.')
        : html`<ul class="pairs">${report.wakeUps.map(item)}</ul>`,
  });
}

function queue(report: StatusReport): Html {
  const cell = (value: number, href: string, tone = ''): Html =>
    value === 0
      ? html`<td class="num none">0</td>`
      : html`<td class="num"><a class="${tone}" href="${href}">${count(value)}</a></td>`;
  const rows = report.jobs.map((entry) => {
    const at = (status: string): string => `/jobs?type=${encodeURIComponent(entry.jobType)}&status=${status}`;
    const { byStatus } = entry;
    const failed = byStatus.failed + byStatus.quarantined;
    return html`<tr><th scope="row"><a href="/jobs?type=${encodeURIComponent(entry.jobType)}">${wordsOf(entry.jobType)}</a></th>
${cell(byStatus.pending, at('pending'))}${cell(byStatus.in_progress, at('in_progress'))}${cell(byStatus.completed, at('completed'))}${cell(failed, at(byStatus.failed > 0 ? 'failed' : 'quarantined'), 'badtext')}</tr>`;
  });
  return section({
    id: 'queue',
    title: 'Queue',
    body:
      rows.length === 0
        ? empty('No job was ever asked for. The first one, looking for wikis, is asked for at start.')
        : table({
            name: 'Jobs by type and state',
            heads: ['Type', 'Wait', 'Run', 'Done', 'Failed'],
            rows,
            numbers: [1, 2, 3, 4],
          }),
  });
}

function seedingWords(report: StatusReport): string {
  if (report.seeding === null || report.seeding.length === 0) return '';
  const rate = report.seeding.reduce((sum, fact) => sum + fact.uploadBytesPerSecond, 0);
  const sent = report.seeding.reduce((sum, fact) => sum + fact.uploadedBytes, 0);
  const peers = report.seeding.reduce((sum, fact) => sum + fact.peers, 0);
  return `Seeding ${count(report.seeding.length)} to ${plural(peers, 'peer')} at ${formatRate(rate)}, ${formatBytes(sent)} sent.`;
}
