import { html } from 'hono/html';
import { formatBytes } from '../../lib/index.ts';
import type { SwarmCount } from '../torrent-types.ts';
import { count, empty, type Html, plural, table, time, utc } from './parts.ts';

/** Rows of the table below the chart. */
const ROWS_MAX = 12;
const WIDTH = 1000;
const HEIGHT = 100;
/** Only so many dots can be told apart. */
const DOTS_MAX = 60;

/** Seeders besides us over time: a line that breaks where nobody knew, and the newest counts as a table. Oldest first. */
export function seederChart(history: readonly SwarmCount[]): Html {
  const [first, last] = [history[0], history.at(-1)];
  if (first === undefined || last === undefined)
    return empty('Not counted yet: trackers are asked every few hours.');
  const known = history.filter(({ seeders }) => seeders !== null);
  return html`${known.length === 0 ? empty('Nobody knew how many seed it, so far.') : chart(history, { first, last })}
${counts(history)}`;
}

function chart(
  history: readonly SwarmCount[],
  { first, last }: { first: SwarmCount; last: SwarmCount },
): Html {
  const numbers = history.flatMap(({ seeders }) => seeders ?? []);
  const highest = Math.max(...numbers);
  const top = Math.max(1, highest);
  const newest = history.findLast(({ seeders }) => seeders !== null);
  const spanMs = Math.max(1, last.at - first.at);
  const x = (at: number): string => (((at - first.at) / spanMs) * WIDTH).toFixed(1);
  const y = (seeders: number): string => (HEIGHT - (seeders / top) * HEIGHT).toFixed(1);
  const lines: string[] = [];
  const dots: string[] = [];
  let isOpen = false;
  for (const { at, seeders } of history) {
    if (seeders !== null) {
      lines.push(`${isOpen ? 'L' : 'M'}${x(at)} ${y(seeders)}`);
      // A line of no length: it is drawn as a dot, however the picture is stretched.
      dots.push(`M${x(at)} ${y(seeders)}h0`);
    }
    isOpen = seeders !== null;
  }
  const days = plural(Math.max(1, Math.round(spanMs / 86_400_000)), 'day');
  const name = `Seeders besides us over ${days}`;
  const words = `Between ${count(Math.min(...numbers))} and ${count(highest)} from ${utc(first.at)} to ${utc(last.at)}; ${count(newest?.seeders ?? 0)} when they were last known.`;
  return html`<figure class="chart">
<div class="upright" aria-hidden="true"><span>${count(top)}</span><span>0</span></div>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${name}" aria-describedby="seeders-words">
<title>${name}</title><desc>${words}</desc>
<path class="grid" vector-effect="non-scaling-stroke" d="M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}"/>
<path class="line" vector-effect="non-scaling-stroke" d="${lines.join('')}"/>
${numbers.length > DOTS_MAX ? '' : html`<path class="dots" vector-effect="non-scaling-stroke" d="${dots.join('')}"/>`}</svg>
<div class="along" aria-hidden="true"><span>${day(first.at)}</span><span>${day(last.at)}</span></div>
<figcaption id="seeders-words" class="none">${words}</figcaption></figure>`;
}

const day = (at: number): string => utc(at).slice(0, 10);

function counts(history: readonly SwarmCount[]): Html {
  const rows = history.slice(-ROWS_MAX).reverse();
  const known = (value: number | null): Html | string =>
    value === null ? html`<span class="none">unknown</span>` : count(value);
  return html`${table({
    name: 'Counts, newest first',
    heads: ['Counted', 'Other seeders', 'Leechers', 'Downloads', 'Given by us', 'By'],
    numbers: [1, 2, 3, 4],
    isStacked: true,
    rows: rows.map(
      ({ at, seeders, leechers, completed, uploadedBytes, source }) =>
        html`<tr role="row"><th scope="row" role="rowheader">${time(at)}</th><td role="cell" data-label="Other seeders" class="num">${known(seeders)}</td><td role="cell" data-label="Leechers" class="num">${known(leechers)}</td><td role="cell" data-label="Downloads" class="num">${known(completed)}</td>
<td role="cell" data-label="Given by us" class="num">${uploadedBytes === null ? known(null) : formatBytes(uploadedBytes)}</td><td role="cell" data-label="By" class="by">${source}</td></tr>`,
    ),
  })}
${history.length > rows.length ? html`<p class="none more">The newest ${rows.length} of ${count(history.length)} counts of the last year.</p>` : ''}`;
}
