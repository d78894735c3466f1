import { html } from 'hono/html';
import { formatDuration } from '../../lib/index.ts';
import type { Page } from '../types.ts';

/** A piece of a page; everything put into it with `html` is escaped. */
export type Html = ReturnType<typeof html>;

/** `2026-11-20 13:05 UTC` */
export function utc(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** A moment, readable and machine-readable; a dash when there is none. */
export function time(ms: number | null): Html {
  if (ms === null) return html`<span class="none">–</span>`;
  return html`<time datetime="${new Date(ms).toISOString()}">${utc(ms)}</time>`;
}

/** A moment as its distance from now; the exact time is one hover away. */
export function moment(ms: number, now: number): Html {
  return html`<time datetime="${new Date(ms).toISOString()}" title="${utc(ms)}">${distance(ms, now)}</time>`;
}

/** `in 3 h 20 m`, `5 m ago`, `now` within a second. */
export function distance(ms: number, now: number): string {
  if (Math.abs(ms - now) < 1000) return 'now';
  return ms > now ? `in ${coarse(ms - now)}` : `${coarse(now - ms)} ago`;
}

/** Whole seconds, from a minute on whole minutes, from two days on whole hours: more would only look exact. */
export function coarse(durationMs: number): string {
  const unitMs = durationMs < 60_000 ? 1000 : durationMs < 48 * 60 * 60_000 ? 60_000 : 60 * 60_000;
  return formatDuration(Math.max(1000, Math.round(durationMs / unitMs) * unitMs));
}

/** `12,345`, with a comma every three digits whatever the machine's locale. */
export function count(value: number): string {
  return String(Math.trunc(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 file`, `2 files`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Whole percent, rounded down so that 100 means all; null when the whole is unknown. */
export function percent(done: number, total: number): number | null {
  return total > 0 ? Math.max(0, Math.min(100, Math.floor((100 * done) / total))) : null;
}

/** A progress bar with a name for screen readers. Unknown total: a bar without value. */
export function bar(facts: { label: string; done: number | null; total: number | null }): Html {
  if (facts.done === null || facts.total === null || facts.total <= 0)
    return html`<progress aria-label="${facts.label}"></progress>`;
  return html`<progress aria-label="${facts.label}" max="${facts.total}" value="${Math.min(facts.done, facts.total)}">${percent(facts.done, facts.total)} %</progress>`;
}

const STATUS_TONE: Readonly<Record<string, string>> = {
  in_progress: 'active',
  downloading: 'active',
  uploading: 'active',
  seeding: 'active',
  completed: 'done',
  included: 'done',
  published: 'done',
  failed: 'bad',
  quarantined: 'bad',
};

/** A state word, told by colour and by text. */
export function badge(status: string): Html {
  return html`<span class="badge ${STATUS_TONE[status] ?? 'plain'}">${status.replaceAll('_', ' ')}</span>`;
}

/**
 * A table that scrolls inside its own frame on narrow screens. `name` is read to screen readers. A stacked one shows each row as
 * a block there: its cells name their column (`data-label`), and all of it its roles, which the other display takes away.
 */
export function table(facts: {
  name: string;
  heads: (string | Html)[];
  rows: Html[];
  numbers?: number[];
  isStacked?: boolean;
}): Html {
  const role = (name: string): Html | string => (facts.isStacked === true ? html` role="${name}"` : '');
  const isNumber = (index: number): boolean => facts.numbers?.includes(index) ?? false;
  return html`<div class="scroll" role="region" aria-label="${facts.name}" tabindex="0"><table${facts.isStacked === true ? html` class="stacked"` : ''}${role('table')}>
<caption class="hidden">${facts.name}</caption>
<thead${role('rowgroup')}><tr${role('row')}>${facts.heads.map((head, index) => html`<th scope="col"${role('columnheader')}${isNumber(index) ? html` class="num"` : ''}>${head}</th>`)}</tr></thead>
<tbody${role('rowgroup')}>${facts.rows}</tbody></table></div>`;
}

/** A section with its heading. `live` names it for the script, which swaps it when something changed. */
export function section(facts: {
  id: string;
  title: string;
  aside?: string | Html;
  body: Html | Html[];
  live?: boolean;
}): Html {
  const live = facts.live === false ? '' : html` data-live="${facts.id}"`;
  return html`<section class="card" aria-labelledby="${facts.id}"${live}>
<div class="head"><h2 id="${facts.id}">${facts.title}</h2>${facts.aside === undefined ? '' : html`<p class="aside">${facts.aside}</p>`}</div>
${facts.body}</section>`;
}

/** Says that there is nothing, and what will happen next. */
export function empty(text: string): Html {
  return html`<p class="empty">${text}</p>`;
}

/** Links through the pages of a list. `href` makes the address of one page. */
export function pager(page: Page<unknown>, noun: string, href: (page: number) => string): Html {
  const { total, pageSize, pageCount } = page;
  if (total === 0) return html``;
  const from = (page.page - 1) * pageSize + 1;
  const to = Math.min(page.page * pageSize, total);
  if (pageCount === 1) return html`<p class="pager">${plural(total, noun)}</p>`;
  const isCut = pageCount * pageSize < total;
  return html`<nav class="pager" aria-label="Pages">
<p>${count(from)}–${count(to)} of ${plural(total, noun)}${isCut ? `; the newest ${count(pageCount * pageSize)} can be paged, use the filter for older ones` : ''}</p>
<p>${page.page > 1 ? html`<a rel="prev" href="${href(page.page - 1)}">Previous</a>` : html`<span class="none">Previous</span>`}
<span>Page ${count(page.page)} of ${count(pageCount)}</span>
${page.page < pageCount ? html`<a rel="next" href="${href(page.page + 1)}">Next</a>` : html`<span class="none">Next</span>`}</p></nav>`;
}

/** Query string of the parts that are set. */
export function query(parts: Record<string, string | number | undefined>): string {
  const set = Object.entries(parts).flatMap(([key, value]) =>
    value === undefined || value === '' ? [] : [`${key}=${encodeURIComponent(value)}`],
  );
  return set.length === 0 ? '' : `?${set.join('&')}`;
}
