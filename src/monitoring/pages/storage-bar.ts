import { html } from 'hono/html';
import { formatBytes } from '../../lib/index.ts';
import type { StorageFacts } from '../types.ts';
import { empty, type Html, percent } from './parts.ts';

const MODE_WORDS: Readonly<Record<NonNullable<StorageFacts['mode']>, string>> = {
  normal: 'Plenty of room.',
  cleaning: 'Above the first threshold: what is safe elsewhere is being pruned.',
  paused: 'Above the second threshold: running downloads finish, none start.',
  hard_stop: 'No room left: downloads are stopped and will resume.',
};

/** The disk as one bar: ours, everything else, free; with the thresholds as marks. */
export function storageBody(facts: StorageFacts | null): Html {
  if (facts === null) return empty('The disk could not be measured; it is tried again with the next look.');
  const { usedBytes, freeBytes, totalBytes } = facts;
  const otherBytes = Math.max(0, totalBytes - freeBytes - usedBytes);
  const share = (bytes: number): number => (totalBytes > 0 ? Math.min(100, (100 * bytes) / totalBytes) : 0);
  const marks = [facts.cleanupThresholdPercent, facts.pauseThresholdPercent].filter((at) => at !== undefined);
  const full = percent(usedBytes + otherBytes, totalBytes) ?? 0;
  // Lengths are attributes of an SVG because the content security policy forbids inline styles.
  return html`<p class="figure"><strong>${full} %</strong> full, ${formatBytes(freeBytes)} free of ${formatBytes(totalBytes)}</p>
<svg class="gauge ${facts.mode ?? 'normal'}" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="${full} percent of the disk is used: ${formatBytes(usedBytes)} by WikiSeed, ${formatBytes(otherBytes)} by others">
<rect class="all" x="0" y="0" width="100" height="10"/>
<rect class="ours" x="0" y="0" width="${share(usedBytes).toFixed(2)}" height="10"/>
<rect class="other" x="${share(usedBytes).toFixed(2)}" y="0" width="${share(otherBytes).toFixed(2)}" height="10"/>
${marks.map((at) => html`<rect class="mark" x="${at}" y="0" width="0.6" height="10"/>`)}
</svg>
<ul class="pairs keyed"><li><span><i class="key ours"></i>WikiSeed</span><span>${formatBytes(usedBytes)}</span></li>
<li><span><i class="key other"></i>Everything else</span><span>${formatBytes(otherBytes)}</span></li>
${facts.cleanupThresholdPercent === undefined ? '' : html`<li><span>Starts to prune at</span><span>${facts.cleanupThresholdPercent} %</span></li>`}
${facts.pauseThresholdPercent === undefined ? '' : html`<li><span>Stops downloads at</span><span>${facts.pauseThresholdPercent} %</span></li>`}</ul>
${facts.mode === undefined ? '' : html`<p class="none">${MODE_WORDS[facts.mode]}</p>`}`;
}
