import {
  isLoopbackHost,
  isLoopbackUrl,
  isPlainAndRemote,
  isPrivateUrl,
  isUnspecifiedUrl,
} from './addresses.ts';
import type { Finding } from './contradictions.ts';
import type { Config } from './schema.ts';
import type { Secrets } from './secrets.ts';

/** Choices that work but that an operator may regret: warnings, never errors. */
export function adviceOn(config: Config, secrets: Secrets): readonly Finding[] {
  return [
    ...plainHttp(config),
    ...reach(config),
    ...dumpTypes(config),
    ...manners(config),
    ...swarm(config),
    ...exposure(config, secrets),
  ];
}

const warning = (path: readonly PropertyKey[], message: string, hint?: string): Finding => ({
  path,
  message,
  hint,
  severity: 'warning',
});

function plainHttp({ wikiseed, download, torrents, seeding }: Config): Finding[] {
  const consequence = 'uses plain http: anyone on the way can see and change it';
  const list = (base: PropertyKey[], addresses: readonly string[], why: string): Finding[] =>
    addresses.flatMap((address, index) =>
      isPlainAndRemote(address) ? [warning([...base, index], `${consequence}${why}`)] : [],
    );
  const one = (path: PropertyKey[], address: string | null, why: string): Finding[] =>
    address !== null && isPlainAndRemote(address) ? [warning(path, `${consequence}${why}`)] : [];
  return [
    ...list(['download', 'mirrors'], download.mirrors, ' (the bytes are checked by hash all the same).'),
    ...list(['torrents', 'trackers'], torrents.trackers, '.'),
    ...one(
      ['wikiseed', 'public_base_url'],
      wikiseed.publicBaseUrl,
      '; the admin token must not travel over it.',
    ),
    ...one(['seeding', 'url'], seeding.url, '; keep it inside a private network.'),
  ];
}

/** Whoever has a torrent of ours may be anywhere. In the sandbox all addresses are those of this machine. */
function reach({ wikiseed, discovery, torrents, ia }: Config): Finding[] {
  if (isLoopbackUrl(discovery.dumpsBaseUrl)) return [];
  const findings: Finding[] = [];
  const { publicBaseUrl } = wikiseed;
  // Worse than private, and an error of its own.
  if (publicBaseUrl !== null && isPrivateUrl(publicBaseUrl) && !isUnspecifiedUrl(publicBaseUrl)) {
    const message =
      'can be reached from this machine or its network only: it is not written into torrents, and the addresses in the manifest help nobody outside.';
    const hint =
      'Write the address under which everybody reaches this host, such as https://seed.example.org, or null.';
    findings.push(warning(['wikiseed', 'public_base_url'], message, hint));
  }
  if (ia.enabled && torrents.webseeds.includes('internet_archive') && isPrivateUrl(ia.siteUrl)) {
    const message = 'can be reached from this machine or its network only: it is not written into torrents.';
    findings.push(warning(['ia', 'site_url'], message, 'The Internet Archive is at https://archive.org.'));
  }
  return findings;
}

// Names of files, without number and ending, as of 2026. New ones appear, hence a warning and no error.
const KNOWN_DUMP_TYPES = new Set(
  `pages-articles pages-articles-multistream pages-meta-current pages-meta-history pages-logging
   stub-articles stub-meta-current stub-meta-history all-titles all-titles-in-ns0
   siteinfo-namespaces siteinfo2-namespacesv2 flow flowhistory babel category categorylinks change_tag change_tag_def
   externallinks file filerevision filetypes flaggedpage_pending flaggedpages flaggedpage_config flaggedimages
   flaggedrevs flaggedrevs_promote flaggedrevs_statistics flaggedrevs_tracking flaggedtemplates geo_tags image
   imagelinks iwlinks langlinks linktarget oldimage page page_props page_restrictions pagelinks protected_titles
   redirect site_stats sites templatelinks user_former_groups user_groups wb_changes_subscription
   wb_entity_per_page wb_items_per_site wbc_entity_usage wb_terms`.split(/\s+/),
);

function dumpTypes({ dumps }: Config): Finding[] {
  const lists = [
    ['regular_types', dumps.regularTypes],
    ['history_types', dumps.historyTypes],
  ] as const;
  const unknown = lists.flatMap(([key, types]) =>
    types.flatMap((type, index) => {
      if (KNOWN_DUMP_TYPES.has(type)) return [];
      const message =
        type === 'abstract'
          ? 'asks for abstract dumps, which Wikimedia stopped making in January 2025.'
          : `asks for ${JSON.stringify(type)}, a dump type we have not seen; it is taken if a run offers it.`;
      return [warning(['dumps', key, index], message)];
    }),
  );
  const isEmptyHistory =
    dumps.includeHistory && (dumps.historyTypes.length === 0 || dumps.historyMonths.length === 0);
  const message = 'is true, but history_types or history_months is empty: no history will be taken.';
  return isEmptyHistory ? [...unknown, warning(['dumps', 'include_history'], message)] : unknown;
}

function manners({ wikiseed, download }: Config): Finding[] {
  const findings: Finding[] = [];
  if (download.perHostConnections > 2) {
    findings.push(
      warning(
        ['download', 'per_host_connections'],
        'is 3, but Wikimedia asks for at most two connections per address and may block those who take more.',
      ),
    );
  }
  const { contact } = wikiseed;
  if (contact !== '' && !/@|https?:\/\//.test(contact)) {
    const message = 'is neither a mail address nor a page; Wikimedia wants to be able to reach you.';
    findings.push(warning(['wikiseed', 'contact'], message));
  }
  return findings;
}

function swarm({ torrents, seeding }: Config): Finding[] {
  const findings: Finding[] = [];
  if (torrents.alignFilesFromBytes < torrents.pieceLengthBytes) {
    const message = 'is below piece_length: padding would often be larger than the file it follows.';
    findings.push(warning(['torrents', 'align_files_from'], message));
  }
  if (seeding.engine !== 'none' && torrents.trackers.length === 0 && !seeding.dht) {
    findings.push(
      warning(['torrents', 'trackers'], 'is empty and seeding.dht is false: no peer can find us.'),
    );
  }
  if (seeding.url !== null && (seeding.engine === 'webtorrent' || seeding.engine === 'none')) {
    findings.push(warning(['seeding', 'url'], `is not used: the engine is ${seeding.engine}.`));
  }
  return [...findings, ...waysToPeers({ torrents, seeding })];
}

function waysToPeers({ torrents, seeding }: Pick<Config, 'torrents' | 'seeding'>): Finding[] {
  const { engine, utp, webrtc, listenHost } = seeding;
  if (engine !== 'webtorrent') {
    const switches = Object.entries({ utp, webrtc }).filter(([, isOn]) => isOn);
    return switches.map(([key]) => warning(['seeding', key], `is not used: the engine is ${engine}.`));
  }
  const findings: Finding[] = [];
  const sockets = torrents.trackers.flatMap((tracker, index) => (/^wss?:/i.test(tracker) ? [index] : []));
  if (webrtc && sockets.length === 0) {
    const message = 'is true, but torrents.trackers has no wss:// address: no WebRTC peer can find us.';
    findings.push(warning(['seeding', 'webrtc'], message));
  }
  if (!webrtc) {
    const message = 'is written into torrents, but we do not announce there: only WebRTC peers meet there.';
    const hint = 'Set seeding.webrtc: true to serve them.';
    findings.push(...sockets.map((index) => warning(['torrents', 'trackers', index], message, hint)));
  }
  if (utp && listenHost?.includes(':') && listenHost !== '::') {
    const message = `is true, but seeding.listen_host is ${listenHost}: uTP is for IPv4 addresses only.`;
    findings.push(warning(['seeding', 'utp'], message));
  }
  return findings;
}

function exposure({ monitoring }: Config, secrets: Secrets): Finding[] {
  const findings: Finding[] = [];
  if (monitoring.auth === 'none' && !isLoopbackHost(monitoring.host)) {
    const message = `is ${monitoring.host} while auth is none: only the public, read-only pages are served.`;
    findings.push(warning(['monitoring', 'host'], message, 'For operator actions set auth: basic.'));
  }
  const { maxRequests, maxRequestsPerClient } = monitoring.webseed;
  if (maxRequestsPerClient > maxRequests) {
    const message = `is ${maxRequestsPerClient}, above max_requests (${maxRequests}): one client may take all places.`;
    findings.push(warning(['monitoring', 'webseed', 'max_requests_per_client'], message));
  }
  if ((secrets.smtpUsername === null) !== (secrets.smtpPassword === null)) {
    const missing = secrets.smtpUsername === null ? 'SMTP_USERNAME' : 'SMTP_PASSWORD';
    findings.push(warning([missing], 'is not set, but its other half is: mail is sent without signing in.'));
  }
  return findings;
}
