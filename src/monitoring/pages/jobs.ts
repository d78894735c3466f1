import { html } from 'hono/html';
import { formatRate } from '../../lib/index.ts';
import { bytesText } from '../live-feed.ts';
import { jobCommand, QUARANTINE, sentenceCase, wordsOf } from '../operator-words.ts';
import {
  JOB_STATUSES,
  type JobCount,
  type JobDetail,
  type JobRow,
  type JobStatus,
  type Page,
} from '../types.ts';
import {
  badge,
  bar,
  coarse,
  count,
  distance,
  empty,
  type Html,
  pager,
  query,
  section,
  table,
  time,
} from './parts.ts';

/** What the list of jobs is narrowed to. */
export interface JobFilterWords {
  status: JobStatus | undefined;
  type: string | undefined;
}

/** The queue as a list, newest first. */
export function jobsPage(facts: {
  jobs: Page<JobRow>;
  counts: readonly JobCount[];
  filter: JobFilterWords;
  now: number;
}): Html {
  const { jobs, counts, filter } = facts;
  const ofStatus = (status: JobStatus): number => counts.reduce((sum, c) => sum + c.byStatus[status], 0);
  return html`<h1>Jobs</h1>
<form class="filter" method="get" action="/jobs" aria-label="Filter jobs">
<label>State <select name="status"><option value="">any</option>${JOB_STATUSES.map(
    (status) =>
      html`<option value="${status}"${status === filter.status ? html` selected` : ''}>${wordsOf(status)} (${count(ofStatus(status))})</option>`,
  )}</select></label>
<label>Type <select name="type"><option value="">any</option>${counts.map(
    (entry) =>
      html`<option value="${entry.jobType}"${entry.jobType === filter.type ? html` selected` : ''}>${wordsOf(entry.jobType)} (${count(entry.total)})</option>`,
  )}</select></label>
<button>Show</button>${filter.status === undefined && filter.type === undefined ? '' : html` <a href="/jobs">Show all</a>`}</form>
${section({
  id: 'jobs',
  title: 'Queue',
  body:
    jobs.items.length === 0
      ? empty(
          jobs.total === 0 && filter.status === undefined && filter.type === undefined
            ? 'No job was ever asked for. The first one, looking for wikis, is asked for at start.'
            : 'No job matches.',
        )
      : html`${jobTable(jobs.items, facts.now)}
${pager(jobs, 'job', (page) => `/jobs${query({ status: filter.status, type: filter.type, page })}`)}`,
})}`;
}

function jobTable(jobs: readonly JobRow[], now: number): Html {
  return table({
    name: 'Jobs, newest first',
    heads: ['Job', 'Type', 'About', 'State', 'Attempt', 'Progress or result'],
    numbers: [0, 4],
    rows: jobs.map(
      (
        job,
      ) => html`<tr data-job="${job.id}"><th scope="row" class="num"><a href="/jobs/${job.id}">${job.id}</a></th><td class="kind">${wordsOf(job.jobType)}</td>
<td class="file">${job.subject ?? html`<span class="none">–</span>`}</td><td>${badge(job.status)}</td>
<td class="num">${job.attempt} of ${job.maxAttempts}</td><td class="why">${outcome(job, now)}</td></tr>`,
    ),
  });
}

function outcome(job: JobRow, now: number): Html {
  if (job.status === 'in_progress')
    return html`${bar({ label: `Progress of job ${job.id}`, done: job.doneBytes, total: job.totalBytes })}
<span data-part="bytes">${bytesText(job)}</span> <span data-part="rate">${job.bytesPerSecond === null ? '' : formatRate(job.bytesPerSecond)}</span>`;
  if (job.status === 'pending')
    return html`${job.nextAttemptAt <= now ? 'waits for a free place' : distance(job.nextAttemptAt, now)}${
      job.lastError === null ? '' : html`<br><span class="badtext">${job.lastError}</span>`
    }`;
  if (job.status === 'completed') return time(job.completedAt);
  return html`<span class="badtext">${job.lastError ?? 'no reason was recorded'}</span>`;
}

/** Everything about one job. */
export function jobPage(job: JobDetail, now: number): Html {
  const fact = (name: string, value: unknown): Html => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  const took = job.startedAt === null ? null : (job.completedAt ?? now) - job.startedAt;
  return html`<p class="back"><a href="/jobs">Jobs</a></p><h1>${sentenceCase(wordsOf(job.jobType))} <span class="none">job ${job.id}</span></h1>
<section class="card" data-live="job" aria-labelledby="job"><div class="head"><h2 id="job">${job.subject ?? 'About nothing in particular'}</h2><p class="aside">${badge(job.status)}</p></div>
${
  job.status === 'in_progress'
    ? html`<div data-job="${job.id}">${bar({ label: 'Progress', done: job.doneBytes, total: job.totalBytes })}
<p class="none"><span data-part="bytes">${bytesText(job)}</span> <span data-part="rate">${job.bytesPerSecond === null ? '' : formatRate(job.bytesPerSecond)}</span></p></div>`
    : ''
}
${job.status === 'quarantined' ? html`<p>${QUARANTINE}</p>` : ''}
${job.lastError === null ? '' : html`<p class="badtext">${job.lastError}</p>`}
${todo(job, now)}
<dl class="facts">
${fact('Attempt', `${job.attempt} of ${job.maxAttempts}`)}
${job.status === 'pending' ? fact('Due', job.nextAttemptAt <= now ? 'now' : time(job.nextAttemptAt)) : ''}
${fact('Priority', job.priority)}
${fact('Asked for', time(job.createdAt))}
${fact('Started', time(job.startedAt))}
${fact('Finished', time(job.completedAt))}
${took === null ? '' : fact(job.completedAt === null ? 'Running for' : 'Took', coarse(took))}
${job.cycleDate === null ? '' : fact('Cycle', html`<a href="/cycles/${job.cycleDate}">${job.cycleDate}</a>`)}
${job.parentJobId === null ? '' : fact('Asked for by', html`<a href="/jobs/${job.parentJobId}">job ${job.parentJobId}</a>`)}
${fact('Unique key', html`<code>${job.uniqueKey}</code>`)}
${job.leaseOwner === null ? '' : fact('Lease', html`<code>${job.leaseOwner}</code> until ${time(job.leaseExpiresAt)}`)}
</dl></section>
${section({
  id: 'attempts',
  title: 'Attempts that did not succeed',
  body:
    job.attempts.length === 0
      ? empty('None.')
      : table({
          name: 'Attempts that did not succeed, newest first',
          heads: ['Attempt', 'Outcome', 'Message', 'Started', 'Took'],
          numbers: [0],
          rows: job.attempts.map(
            (
              attempt,
            ) => html`<tr><th scope="row" class="num">${attempt.attempt}</th><td>${badge(attempt.outcome)}</td>
<td class="why">${attempt.message ?? ''}${attempt.code === null ? '' : html` <code>${attempt.code}</code>`}</td>
<td>${time(attempt.startedAt)}</td><td>${coarse(attempt.endedAt - attempt.startedAt)}</td></tr>`,
          ),
        }),
})}
${children(job)}
${json('input', 'Input', job.input)}${json('cursor', 'Where the next attempt resumes', job.cursor)}${json('result', 'Result', job.result)}`;
}

function todo(job: JobDetail, now: number): Html {
  const found = jobCommand(job, now);
  return found === null
    ? html``
    : html`<p class="none todo">${found.words}: <code>${found.command}</code></p>`;
}

function children(job: JobDetail): Html {
  if (job.childCount === 0) return html``;
  const more = job.childCount - job.children.length;
  return section({
    id: 'children',
    title: 'Jobs it asked for',
    aside: count(job.childCount),
    body: html`<ul class="pairs">${job.children.map(
      (child) =>
        html`<li><span><a href="/jobs/${child.id}">${sentenceCase(wordsOf(child.jobType))}</a> <span class="subject">${child.subject ?? ''}</span></span>${badge(child.status)}</li>`,
    )}</ul>${more > 0 ? html`<p class="none more">and ${count(more)} more</p>` : ''}`,
  });
}

/** Stored JSON, indented; at most 8,000 characters, because a result may be long and a page must not be. */
function json(id: string, title: string, text: string | null): Html {
  if (text === null) return html``;
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON: written by something older than the check. Shown as it is.
  }
  const cut = shown.length > 8000 ? `${shown.slice(0, 8000)}\n…` : shown;
  return section({ id, title, body: html`<pre tabindex="0" aria-label="${title}">${cut}</pre>` });
}
