import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { defaultConfig, noSecrets } from '../../src/config/index.ts';
import { fixtures } from '../helpers/needs.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { withApp } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

const folder = fixtures();
/** The same wiki and month as content export. */
const CONTENT = 'other/mediawiki_content_current/aawiki/2026-01-01/xml/bzip2';

/** The plainest file server there is: no ranges, no validators, and listings only below /other/, where nothing else tells. */
async function serve(root: string): Promise<{ url: string; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((req, res) => {
    const path = join(root, normalize(new URL(req.url ?? '/', 'http://x').pathname));
    requests.push(req.url ?? '');
    const facts = path.startsWith(root) ? statSync(path, { throwIfNoEntry: false }) : undefined;
    if (facts?.isDirectory() && path.includes('/other/')) {
      res.end(listing(path, req.url ?? ''));
      return;
    }
    if (!facts?.isFile()) {
      res.writeHead(404).end();
      return;
    }
    res.writeHead(200, { 'content-length': statSync(path).size });
    createReadStream(path).pipe(res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

/** As nginx writes it. */
function listing(path: string, url: string): string {
  const rows = readdirSync(path).map((name) => {
    const { size, mtime } = statSync(join(path, name));
    const isFolder = statSync(join(path, name)).isDirectory();
    const [, day, month, year, time] = /, (\d+) (\w+) (\d+) (\d+:\d+)/.exec(mtime.toUTCString()) ?? [];
    const shown = isFolder ? `${name}/` : name;
    return `<a href="${shown}">${shown}</a> ${day}-${month}-${year} ${time} ${isFolder ? '-' : size}`;
  });
  const title = `Index of ${url}`;
  return `<html><head><title>${title}</title></head><body><h1>${title}</h1><hr><pre><a href="../">../</a>\n${rows.join('\n')}\n</pre></body></html>`;
}

/** Every dump type of the run: what a configuration that wants all of it says. */
const ALL_TYPES = [
  ...[
    'all-titles',
    'all-titles-in-ns0',
    'categorylinks',
    'imagelinks',
    'pagelinks',
    'redirect',
    'site_stats',
  ],
  ...['pages-articles', 'pages-articles-multistream', 'pages-meta-current'],
  ...[
    'siteinfo-namespaces',
    'siteinfo2-namespacesv2',
    'stub-articles',
    'stub-meta-current',
    'stub-meta-history',
  ],
];

test.skipIf(folder === null)(
  'a real run of Afar Wikipedia passes through download, verification and torrent',
  async () => {
    const site = await serve(folder ?? '');
    const base = defaultConfig();
    const dataDir = temporaryFolder();
    const config = {
      ...base,
      wikiseed: { ...base.wikiseed, dataDir, contact: 'test@localhost' },
      discovery: {
        ...base.discovery,
        sitematrixUrl: `${site.url}/_api/sitematrix.json`,
        dumpsBaseUrl: site.url,
        wikis: { include: ['aawiki'], exclude: [], maxSizeBytes: null },
      },
      dumps: {
        ...base.dumps,
        regularTypes: ALL_TYPES,
        historyTypes: ['pages-meta-history'],
        historyFormat: 'both' as const,
      },
      storage: { ...base.storage, safetyMarginBytes: 1_000_000 },
      torrents: { ...base.torrents, trackers: [] },
      seeding: { ...base.seeding, dht: false, listenHost: '127.0.0.1' },
      monitoring: { ...base.monitoring, port: 0 },
    };
    const { app } = await withApp(
      { config, secrets: noSecrets() },
      { clock: shiftedClock('2026-01-10T00:00:00Z') },
    );
    await app.whenIdle();

    const run = join(folder ?? '', 'aawiki', '20260101');
    const content = join(folder ?? '', CONTENT);
    const offered = [...readdirSync(run), ...readdirSync(content)].filter((name) =>
      /^aawiki-2026-?01-?01-.*\.(gz|bz2|7z)$/.test(name),
    );
    const files = app.catalog.dumpFiles('2026-01-01');
    expect(files.map((file) => file.filename).sort()).toEqual(offered.sort());
    const upstream = new Map(
      readFileSync(join(run, 'aawiki-20260101-sha1sums.txt'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => [line.slice(42), line.slice(0, 40)]),
    );
    for (const file of files) {
      expect(file, file.filename).toMatchObject({
        ourStatus: 'included',
        project: 'wikipedia',
        language: 'aa',
      });
      const isClassic = file.source === 'classic';
      expect(isClassic ? ['sha1', 'md5'] : ['sha256-upstream']).toContain(file.verification);
      const held = readFileSync(join(dataDir, file.localPath ?? ''));
      expect(held.equals(readFileSync(join(isClassic ? run : content, file.filename))), file.filename).toBe(
        true,
      );
      expect(createHash('sha1').update(held).digest('hex')).toBe(upstream.get(file.filename) ?? file.sha1);
    }
    expect(app.catalog.cycles()).toMatchObject([{ cycleDate: '2026-01-01', status: 'published' }]);
    const torrents = app.catalog.torrents();
    expect(torrents.map((torrent) => torrent.name)).toEqual([
      'wikimedia-dumps-2026-01-01',
      'wikimedia-dumps-history-2026-01-01',
    ]);
    const inTorrents = torrents.flatMap((torrent) =>
      app.catalog.torrentFiles(torrent.id).map((f) => f.dump.filename),
    );
    expect(inTorrents.sort()).toEqual(offered);
    expect((await app.seeding()).torrents.map((t) => t.infoHash).sort()).toEqual(
      torrents.map((t) => t.infoHash).sort(),
    );
  },
);
