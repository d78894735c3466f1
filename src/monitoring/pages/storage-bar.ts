import { html } from 'hono/html';
import { formatBytes } from '../../lib/index.ts';
import { storageWords, usedOf } from '../storage-words.ts';
import type { StorageFacts } from '../types.ts';
import { empty, type Html, percent } from './parts.ts';

/** The room there is as one bar: ours, everything else, promised, free; with the thresholds as marks. */
export function storageBody(facts: StorageFacts | null): Html {
  if (facts === null) return empty('The disk could not be measured; it is tried again with the next look.');
  const { freeBytes, totalBytes, reservedBytes = 0 } = facts;
  const { usedBytes, isLimited } = usedOf(facts);
  const used = usedBytes ?? 0;
  const oursBytes = Math.min(facts.usedBytes ?? 0, Math.max(0, used - reservedBytes));
  // Below a limit of ours nobody else counts.
  const otherBytes = isLimited ? 0 : Math.max(0, used - reservedBytes - oursBytes);
  const share = (bytes: number): number => (totalBytes > 0 ? Math.min(100, (100 * bytes) / totalBytes) : 0);
  const marks = [facts.cleanupThresholdPercent, facts.pauseThresholdPercent].filter((at) => at !== undefined);
  const full = percent(used, totalBytes) ?? 0;
  const words = storageWords(facts);
  const limit = isLimited
    ? html`${formatBytes(Math.max(0, totalBytes - used))} left below storage.max_size of ${formatBytes(totalBytes)}`
    : html`${formatBytes(freeBytes)} free of ${formatBytes(totalBytes)}`;
  // Lengths are attributes of an SVG because the content security policy forbids inline styles.
  return html`<p class="figure"><strong>${usedBytes === null ? '?' : full} %</strong> full, ${limit}</p>
<svg class="gauge ${facts.mode ?? 'normal'}" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="${full} percent of the room is used: ${formatBytes(oursBytes)} by WikiSeed, ${formatBytes(otherBytes)} by others, ${formatBytes(reservedBytes)} promised to running downloads">
<rect class="all" x="0" y="0" width="100" height="10"/>
<rect class="ours" x="0" y="0" width="${share(oursBytes).toFixed(2)}" height="10"/>
<rect class="other" x="${share(oursBytes).toFixed(2)}" y="0" width="${share(otherBytes).toFixed(2)}" height="10"/>
<rect class="promised" x="${share(oursBytes + otherBytes).toFixed(2)}" y="0" width="${share(reservedBytes).toFixed(2)}" height="10"/>
${marks.map((at) => html`<rect class="mark" x="${at}" y="0" width="0.6" height="10"/>`)}
</svg>
<ul class="pairs keyed"><li><span><i class="key ours"></i>WikiSeed</span><span>${facts.usedBytes === null ? 'being measured' : formatBytes(facts.usedBytes)}</span></li>
${isLimited ? '' : html`<li><span><i class="key other"></i>Everything else</span><span>${formatBytes(otherBytes)}</span></li>`}
${facts.reservedBytes === undefined ? '' : html`<li><span><i class="key promised"></i>Promised to running downloads</span><span>${formatBytes(reservedBytes)}</span></li>`}
${isLimited ? html`<li><span>Free on the disk</span><span>${formatBytes(freeBytes)}</span></li>` : ''}
${facts.cleanupThresholdPercent === undefined ? '' : html`<li><span>Starts to prune at</span><span>${facts.cleanupThresholdPercent} %</span></li>`}
${facts.pauseThresholdPercent === undefined ? '' : html`<li><span>Starts no download at</span><span>${facts.pauseThresholdPercent} %</span></li>`}
${facts.safetyMarginBytes === undefined ? '' : html`<li><span>Stops downloads below</span><span>${formatBytes(facts.safetyMarginBytes)} free</span></li>`}</ul>
${words === null ? '' : html`<p class="none">${words}</p>`}`;
}
