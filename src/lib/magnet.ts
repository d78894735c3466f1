/** Writes the magnet link (BEP 9); every value is percent-encoded, webseeds are roots (BEP 19). Pure. */
export function magnetLink(facts: {
  /** 40 lower-case hex digits. */
  infoHash: string;
  /** Name in the info dictionary, which clients show. */
  name: string;
  totalSizeBytes: number;
  trackers: readonly string[];
  webseeds: readonly string[];
}): string {
  const parts = [
    `xt=urn:btih:${facts.infoHash}`,
    `dn=${encodeURIComponent(facts.name)}`,
    `xl=${facts.totalSizeBytes}`,
    ...facts.trackers.map((tracker) => `tr=${encodeURIComponent(tracker)}`),
    ...facts.webseeds.map((webseed) => `ws=${encodeURIComponent(webseed)}`),
  ];
  return `magnet:?${parts.join('&')}`;
}
