import { html } from 'hono/html';
import { formatRate } from '../../lib/index.ts';
import { mirrorStanding, sentenceCase } from '../operator-words.ts';
import type { StatusReport } from '../status.ts';
import { type Html, moment, section, table } from './parts.ts';

/** Where files come from beside the origin, and how well; nothing when no mirror is configured. */
export function mirrorPart({ mirrors, at }: StatusReport): Html | string {
  if (mirrors.length === 0) return '';
  return section({
    id: 'mirrors',
    live: false,
    title: 'Mirrors',
    body: table({
      name: 'Mirrors',
      heads: ['Host', 'Standing', 'Speed'],
      numbers: [2],
      rows: mirrors.map((mirror) => {
        const { baseUrl, lastFault, lastFaultAt, bytesPerSecond } = mirror;
        const fault =
          lastFault === null || lastFaultAt === null
            ? ''
            : html`<br><span class="none">It ${lastFault}, ${moment(lastFaultAt, at)}</span>`;
        return html`<tr><th scope="row" title="${baseUrl}">${new URL(baseUrl).host}</th>
<td>${sentenceCase(mirrorStanding(mirror, at))}${fault}</td><td class="num">${bytesPerSecond === null ? '' : formatRate(bytesPerSecond)}</td></tr>`;
      }),
    }),
  });
}
