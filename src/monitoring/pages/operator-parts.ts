import { html } from 'hono/html';
import { formatBytes } from '../../lib/index.ts';
import {
  rateName,
  rateWords,
  resumeCommand,
  scopeWords,
  sentenceCase,
  tryWords,
  wordsOf,
} from '../operator-words.ts';
import type { StatusReport } from '../status.ts';
import type { Alert, Halt } from '../types.ts';
import { mirrorPart } from './mirror-part.ts';
import { count, distance, empty, type Html, moment, plural, section, time } from './parts.ts';

/** What wants an operator, or was done by one: alerts, halted targets, pauses; the region stays when it is empty, for the script. */
export function wantedParts(report: StatusReport): Html {
  const { alerts, alertCount, halts, pauses } = report;
  if (alerts.length + halts.length + pauses.length === 0) return html`<div data-live="halts"></div>`;
  const more = alertCount - alerts.length;
  return html`<section class="halts" data-live="halts" aria-labelledby="halts"><h2 id="halts" class="hidden">Alerts, halts and pauses</h2>
${halts.map((halt) => haltPart(halt, report.at))}
${pauses.map(
  ({ scope, since, reason }) => html`<div class="halt"><h3>${sentenceCase(scopeWords(scope))} is paused</h3>
${reason === null ? '' : html`<p>${reason}</p>`}
<p class="when">By hand, since ${time(since)}. What runs goes on, nothing new begins. Resume with <code>${resumeCommand(scope)}</code></p></div>`,
)}
${alerts.map((alert) => alertPart(alert, report.at))}
${more > 0 ? html`<p class="none">${plural(more, 'more alert')}</p>` : ''}</section>`;
}

function haltPart(halt: Halt, now: number): Html {
  const what = halt.kind === 'unavailable' ? 'does not answer as it should' : 'is halted';
  return html`<div class="halt${halt.kind === 'halted' ? ' bad' : ''}"><h3>${sentenceCase(wordsOf(halt.target))} ${what}</h3>
<p>${halt.message} <code>${halt.code}</code></p>${halt.hint === null ? '' : html`<p class="hint">${halt.hint}</p>`}
<p class="when">${whenTried(halt, now)}${halt.since === null ? '' : html` Halted since ${time(halt.since)}.`}${
    halt.failures > 1 ? ` Stopped ${count(halt.failures)} times in a row.` : ''
  }${atOnce(halt, now)}</p></div>`;
}

/** No command is needed for what is tried anyway. */
function atOnce(halt: Halt, now: number): Html {
  if (halt.until !== null && halt.until <= now) return html``;
  return html` To try at once: <code>${resumeCommand(halt)}</code>`;
}

function whenTried(halt: Halt, now: number): Html {
  if (halt.until !== null && halt.until > now)
    return html`Tried again ${distance(halt.until, now)}, at ${time(halt.until)}.`;
  return html`${sentenceCase(tryWords(halt, now))}.`;
}

const ALERT_TONE: Readonly<Record<Alert['severity'], string>> = { error: ' bad', warn: '', info: ' mild' };
const ALERT_WORD: Readonly<Record<Alert['severity'], string>> = {
  error: 'Error',
  warn: 'Warning',
  info: 'Note',
};

function alertPart(alert: Alert, now: number): Html {
  const often = alert.count > 1 ? html`, ${count(alert.count)} times, last ${moment(alert.lastAt, now)}` : '';
  return html`<div class="halt${ALERT_TONE[alert.severity]}"><h3><span class="none">${ALERT_WORD[alert.severity]}:</span> ${sentenceCase(alert.message)}</h3>
${alert.hint === null ? '' : html`<p class="hint">${alert.hint}</p>`}
<p class="when">Since ${time(alert.firstAt)}${often}</p></div>`;
}

/** What was set by hand, and how old the last backup is; nothing when there is neither. */
export function careParts(report: StatusReport): Html {
  const { limits, rates, lastBackup, at } = report;
  const limitList =
    limits.length + rates.length === 0
      ? ''
      : section({
          id: 'limits',
          live: false,
          title: 'Limits set by hand',
          body: html`<ul class="pairs">${limits.map(
            ({ scope, jobs }) =>
              html`<li><span>${sentenceCase(scope.kind === 'all' ? 'all' : wordsOf(scope.name))}</span><span>${plural(jobs, 'job')} at once</span></li>`,
          )}${rates.map(
            (rate) =>
              html`<li><span>${sentenceCase(rateName(rate.name))}</span><span>${rateWords(rate)}</span></li>`,
          )}</ul>`,
        });
  // The region is there when it is empty, too, so that the script can fill it.
  const region = (backup: Html | string): Html =>
    html`<div data-live="care">${limitList}${mirrorPart(report)}${backup}</div>`;
  if (lastBackup === null) return region('');
  const bytes = lastBackup.sizeBytes === null ? '' : `, ${formatBytes(lastBackup.sizeBytes)}`;
  const body = lastBackup.ok
    ? html`<ul class="pairs"><li><span>Backed up${bytes}</span>${moment(lastBackup.at, at)}</li></ul>`
    : html`${empty('The last backup failed.')}<p class="badtext">${lastBackup.message ?? 'no reason was recorded'}</p>
<ul class="pairs"><li><span>Failed</span>${moment(lastBackup.at, at)}</li>${
        lastBackup.goodAt === null
          ? ''
          : html`<li><span>Last good one</span>${moment(lastBackup.goodAt, at)}</li>`
      }</ul>`;
  return region(section({ id: 'backup', title: 'Backup of the database', body, live: false }));
}
