import { byBytes } from '../byte-order.ts';
import type { Selection } from '../selection.ts';
import { type ContentFile, runUrl, UPSTREAM } from './content.ts';
import { header, lines, stableJson } from './header.ts';
import { SOURCE_NAMES } from './proof.ts';

interface SourceRun {
  wiki: string;
  project: string;
  language: string;
  runDate: string;
  source: ContentFile['dump']['source'];
  url: string;
  statusUrl: string | null;
}

/** Where the files come from, and which web archives keep those pages: sources.txt, ARCHIVE_URLS.json/.txt. */
export function sourceFiles(selection: Selection, files: readonly ContentFile[]): Record<string, string> {
  const runs = sourceRuns(files);
  return {
    'sources.txt': sourcesText(selection, runs, files),
    'ARCHIVE_URLS.json': stableJson({
      cycleDate: selection.cycleDate,
      note: NO_ARCHIVED_PAGES,
      pages: [],
      sourcePages: runs.map((run) => ({ wiki: run.wiki, url: run.url, archivedUrl: null })),
    }),
    'ARCHIVE_URLS.txt': lines(
      header('Archived Pages', selection),
      '',
      NO_ARCHIVED_PAGES,
      'Pages to look for in web archives such as https://web.archive.org/ and https://archive.ph/:',
      '',
      runs.map((run) => run.url),
    ),
  };
}

const NO_ARCHIVED_PAGES = 'No archived copies of the source pages were recorded when this torrent was made.';

function sourceRuns(files: readonly ContentFile[]): SourceRun[] {
  const runs = new Map<string, SourceRun>();
  for (const { dump } of files) {
    const url = runUrl(dump);
    runs.set(url, {
      wiki: dump.wikiDbName,
      project: dump.project,
      language: dump.language,
      runDate: dump.runDate,
      source: dump.source,
      url,
      statusUrl: dump.source === 'classic' ? `${url}dumpstatus.json` : null,
    });
  }
  return [...runs.values()].sort((a, b) => byBytes(a.url, b.url));
}

/** Of each unpacked file the packed one that anybody can fetch, check and unpack to compare. */
function originLines(files: readonly ContentFile[]): string[] {
  const lines = files.flatMap(({ dump, path, upstreamUrl, unpacked }) =>
    unpacked === undefined
      ? []
      : [
          '',
          `File: ${path}`,
          `Unpacked From: ${upstreamUrl}`,
          `Packed SHA1: ${dump.sha1}`,
          `Packed Size: ${dump.sizeBytes}`,
        ],
  );
  return lines.length === 0 ? [] : ['', '# Which packed file each file was unpacked from', ...lines];
}

function sourcesText(
  selection: Selection,
  runs: readonly SourceRun[],
  files: readonly ContentFile[],
): string {
  const isFirstForm = selection.payloadVersion === '1.0';
  return lines(
    header('Sources', selection),
    '',
    `# Addresses are those of ${UPSTREAM}, where these files were first published. Wikimedia keeps a run for`,
    '# a few months only. Some bytes may have travelled through a public mirror; that is not listed, because every',
    '# file was checked against the hashes or sizes from the origin and is the same whoever handed it over.',
    runs.flatMap((run) => [
      '',
      `Project: ${run.project}`,
      `Language: ${run.language}`,
      `Wiki: ${run.wiki}`,
      ...(isFirstForm ? [] : [`Kind: ${SOURCE_NAMES[run.source]}`]),
      `Source: ${run.url}`,
      ...(isFirstForm || run.source === 'classic' ? [] : [`Hashes: ${run.url}SHA256SUMS`]),
      'Archive Source Page: none recorded',
      ...(run.statusUrl === null
        ? []
        : [`Status JSON: ${run.statusUrl}`, 'Archived Status JSON: none recorded']),
    ]),
    originLines(files),
  );
}
