import { html } from 'hono/html';
import { formatBytes } from '../../lib/index.ts';
import type { Coverage, CoverageRow, CoverageTotals } from '../coverage-queries.ts';
import { ageInDays, percentCovered, placeWords, stateOf } from '../coverage-words.ts';
import type { Page } from '../types.ts';
import { bar, count, empty, type Html, moment, pager, plural, query, section, table } from './parts.ts';

/** What the list is narrowed to. */
export interface CoverageFilterWords {
  project: string | undefined;
  isMissingOnly: boolean;
}

/** Rows that a filter leaves. */
export function coverageRows(coverage: Coverage, filter: CoverageFilterWords): CoverageRow[] {
  return coverage.rows.filter(
    (row) =>
      (filter.project === undefined || row.project === filter.project) &&
      (!filter.isMissingOnly || stateOf(row) === 'missing'),
  );
}

/** What of every project and language is safe, and how old it is. */
export function coveragePage(facts: {
  coverage: Coverage;
  rows: Page<CoverageRow>;
  filter: CoverageFilterWords;
  now: number;
}): Html {
  const { coverage, rows, filter, now } = facts;
  const words = queryOf(filter);
  if (isUnknown(coverage, filter))
    return html`<h1>Coverage</h1>
${filterForm(coverage, filter)}
${section({ id: 'wikis', title: 'No such project', body: empty(noProject(filter)) })}`;
  const shown = coverage.projects.find(({ project }) => project === filter.project);
  return html`<h1>Coverage</h1>
${section({
  id: 'covered',
  title:
    filter.project === undefined
      ? 'Wikis with a verified copy'
      : `${filter.project}: wikis with a verified copy`,
  aside: html`looked up ${moment(coverage.at, now)}`,
  body: totals(filter.project === undefined ? coverage.totals : (shown ?? NONE)),
})}
${filterForm(coverage, filter)}
${section({
  id: 'wikis',
  title: 'By project and language',
  aside: rows.total === 0 ? '' : 'missing ones first',
  body:
    rows.items.length === 0
      ? empty(nothing(coverage, filter))
      : html`${wikiTable(rows.items, now)}
${pager(rows, 'wiki', (page) => `/coverage${query({ ...words, page })}`)}`,
})}
${filter.project === undefined && !filter.isMissingOnly ? projects(coverage) : ''}`;
}

const queryOf = (
  filter: CoverageFilterWords,
): { project: string | undefined; missing: number | undefined } => ({
  project: filter.project,
  missing: filter.isMissingOnly ? 1 : undefined,
});

/** A project that no wiki belongs to; before the first look nobody knows. */
export function isUnknown(coverage: Coverage, { project }: CoverageFilterWords): boolean {
  return (
    project !== undefined &&
    coverage.rows.length > 0 &&
    !coverage.projects.some((each) => each.project === project)
  );
}

const noProject = ({ project }: CoverageFilterWords): string =>
  `There is no project “${project}”: no wiki that we know belongs to it.`;

function filterForm(coverage: Coverage, filter: CoverageFilterWords): Html {
  const isFiltered = filter.project !== undefined || filter.isMissingOnly;
  return html`<form class="filter" method="get" action="/coverage" aria-label="Filter wikis">
<label>Project <select name="project"><option value="">any</option>${coverage.projects.map(
    ({ project, covered, counted }) =>
      html`<option value="${project}"${project === filter.project ? html` selected` : ''}>${project} (${count(covered)} of ${count(counted)})</option>`,
  )}</select></label>
<label><input type="checkbox" name="missing" value="1"${filter.isMissingOnly ? html` checked` : ''}> missing only</label>
<button>Show</button>${isFiltered ? html` <a href="/coverage">Show all</a>` : ''}
<a class="button" href="/coverage.csv${query(queryOf(filter))}" download>Download as CSV</a></form>`;
}

const NONE: CoverageTotals = { counted: 0, covered: 0, missing: 0 };

function nothing(coverage: Coverage, filter: CoverageFilterWords): string {
  if (coverage.rows.length === 0)
    return 'No wiki is known yet. The first look at the site matrix, soon after the start, names them.';
  if (filter.isMissingOnly) return 'None is missing: every wiki that counts has a verified copy.';
  return 'No wiki matches.';
}

function totals(sum: CoverageTotals): Html {
  const percent = percentCovered(sum);
  if (percent === null)
    return empty('Nothing is to be covered yet: no wiki that is taken was seen among the dumps.');
  return html`<p class="figure"><strong>${percent} %</strong> ${count(sum.covered)} of ${plural(sum.counted, 'wiki')} that are taken and that upstream dumps${
    sum.missing === 0 ? '' : html`; <a href="/coverage?missing=1">${count(sum.missing)} missing</a>`
  }</p>
${bar({ label: 'Wikis with a verified copy', done: sum.covered, total: sum.counted })}
<p class="none">A copy is every file of a wiki’s text as of one date, proved by hashes or by its structure, on this disk or at the Internet Archive.</p>`;
}

/** A cell that tells its column by itself where rows are stacked. */
const cell = (label: string, content: string | Html, classes = ''): Html =>
  html`<td role="cell" data-label="${label}"${classes === '' ? '' : html` class="${classes}"`}>${content}</td>`;

function wikiTable(rows: readonly CoverageRow[], now: number): Html {
  return table({
    name: 'Newest verified copy of each project and language',
    heads: ['Wiki', 'Project', 'Language', 'Newest copy', 'Age', 'Size', 'Where'],
    numbers: [4, 5],
    isStacked: true,
    rows: rows.map((row) => {
      const { copy } = row;
      const where = row.isCounted ? '' : html`<span class="none">not counted: ${row.reason ?? ''}</span>`;
      const names = html`<th scope="row" role="rowheader">${row.wikiDbName}</th>${cell('Project', row.project)}${cell('Language', row.language)}`;
      if (copy === null) {
        const missing = row.isCounted ? html`<span class="badge bad">missing</span>` : '–';
        return html`<tr role="row">${names}
${cell('Newest copy', missing, row.isCounted ? '' : 'none')}${cell('Age', '–', 'num none')}${cell('Size', '–', 'num none')}${cell('Where', where, 'why')}</tr>`;
      }
      const date = html`<a href="/cycles/${copy.cycleDate}${query({ wiki: row.wikiDbName })}">${copy.cycleDate}</a>`;
      return html`<tr role="row">${names}
${cell('Newest copy', date, 'date')}${cell('Age', plural(ageInDays(copy.cycleDate, now), 'day'), 'num')}${cell('Size', formatBytes(copy.sizeBytes), 'num')}${cell('Where', html`<span>${placeWords(copy)}${row.isCounted ? '' : html`<br>${where}`}</span>`, 'why')}</tr>`;
    }),
  });
}

function projects(coverage: Coverage): Html {
  const known = coverage.projects.filter(({ counted }) => counted > 0);
  if (known.length < 2) return html``;
  return section({
    id: 'projects',
    title: 'By project',
    body: table({
      name: 'Coverage of each project',
      heads: ['Project', 'Covered', 'Missing', 'Share'],
      numbers: [1, 2, 3],
      rows: known.map(
        (each) =>
          html`<tr><th scope="row"><a href="/coverage${query({ project: each.project })}">${each.project}</a></th>
<td class="num">${count(each.covered)} of ${count(each.counted)}</td><td class="num${each.missing > 0 ? ' badtext' : ' none'}">${count(each.missing)}</td>
<td class="num">${percentCovered(each) ?? 0} %</td></tr>`,
      ),
    }),
  });
}
