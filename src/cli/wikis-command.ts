import { createAppHttp, discoveryConfigOf } from '../app-settings.ts';
import { createCatalog, type Wiki } from '../catalog/index.ts';
import type { Config } from '../config/index.ts';
import { createSystemState, type Db } from '../db/index.ts';
import { createDiscovery, type DiscoveryRoom, type UnlistedWiki } from '../discovery/index.ts';
import { createSystemClock, silentLog } from '../ports/index.ts';
import { EXIT } from './exit-codes.ts';
import { fitColumns } from './fit-columns.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';
import { formatTable } from './table.ts';
import { counted } from './words.ts';

/** What `wikis` and `coverage` ask of discovery: its judgement, not its looks. */
export function roomForJudging(config: Config, db: Db): DiscoveryRoom {
  const clock = createSystemClock();
  return createDiscovery({
    ...{ clock, log: silentLog, catalog: createCatalog({ db, clock }), state: createSystemState(db) },
    http: createAppHttp(config, clock),
    config: discoveryConfigOf(config),
  });
}

/** `wikis`: every wiki we know, whether it is taken, and why. */
export async function wikisCommand(
  io: CliIo,
  options: { config?: string; excluded?: boolean; vanished?: boolean; json?: boolean },
): Promise<number> {
  const { config } = loadForCommand(io, options.config);
  const db = openForReading(config.wikiseed.dataDir);
  try {
    const room = roomForJudging(config, db);
    const all = createCatalog({ db, clock: createSystemClock() })
      .wikis()
      .map((wiki) => ({ wiki, ...room.judgeWiki(wiki) }));
    const shown = all.filter(
      ({ wiki, included }) =>
        (options.excluded !== true || !included) && (options.vanished !== true || wiki.vanishedAt !== null),
    );
    const unlisted = options.vanished === true ? [] : room.unlistedWikis();
    if (options.json === true) {
      const known = shown.map(({ wiki, included, reason }) => ({ ...wiki, included, reason }));
      printJson(io, [...known, ...unlisted.map(unlistedJson)]);
      return EXIT.ok;
    }
    if (all.length === 0)
      io.out.write('No wiki is known yet: the first look at the site matrix names them.\n');
    else if (shown.length === 0) io.out.write('No wiki matches.\n');
    else printWikis(io, shown);
    printUnlisted(io, unlisted);
    const included = all.filter((each) => each.included).length;
    const vanished = all.filter(({ wiki }) => wiki.vanishedAt !== null).length;
    if (all.length > 0)
      io.out.write(
        `\n${counted(all.length, 'wiki')}: ${included} taken, ${all.length - included} not, ${vanished} vanished from the site matrix\n`,
      );
    return EXIT.ok;
  } finally {
    db.close();
  }
}

const HEADS = ['wiki', 'project', 'language', 'flags', 'taken', 'why', 'last seen dumped', 'oldest run'];
/** Why a wiki is taken matters more, and says most of the flags; the name of a wiki says its language and project. */
const LEAVE_OUT = ['oldest run', 'last seen dumped', 'language', 'flags', 'project'];

function printWikis(io: CliIo, shown: readonly { wiki: Wiki; included: boolean; reason: string }[]): void {
  const rows = shown.map(({ wiki, included, reason }) => [
    wiki.wikiDbName,
    wiki.project,
    wiki.language,
    flagsOf(wiki),
    included ? 'yes' : 'no',
    reason,
    dayOf(wiki.dumpedSeenAt),
    wiki.oldestRunDate ?? '-',
  ]);
  const isTerminal = io.out.isTTY === true;
  const width = isTerminal ? (io.out.columns ?? 80) : Number.POSITIVE_INFINITY;
  const fit = fitColumns({ heads: HEADS, rows }, { width, leaveOut: LEAVE_OUT, keep: 'why' });
  const { heads } = fit;
  io.out.write(`${formatTable(fit.rows, { heads, flexible: [heads.indexOf('why')], width })}\n`);
  if (fit.left.length > 0)
    io.out.write(`left out: ${fit.left.join(', ')}; a wider terminal or --json shows them\n`);
}

const UNLISTED_REASON = 'dumped by upstream, but not named by the site matrix';

function printUnlisted(io: CliIo, unlisted: readonly UnlistedWiki[]): void {
  if (unlisted.length === 0) return;
  const rows = unlisted.map(({ wikiDbName, places, seenAt }) => [
    wikiDbName,
    places.join(', '),
    dayOf(seenAt),
  ]);
  io.out.write(`\nDumped by upstream, but not named by the site matrix, so not taken:\n`);
  io.out.write(`${formatTable(rows, { heads: ['wiki', 'source', 'last seen dumped'] })}\n`);
}

/** As other wikis, as far as anything is known. */
function unlistedJson({ wikiDbName, places, seenAt }: UnlistedWiki): object {
  const unknown = { project: null, language: null };
  return { wikiDbName, ...unknown, dumpedSeenAt: seenAt, places, included: false, reason: UNLISTED_REASON };
}

function flagsOf(wiki: Wiki): string {
  const flags = [
    ...(wiki.isClosed ? ['closed'] : []),
    ...(wiki.isPrivate ? ['private'] : []),
    ...(wiki.isFishbowl ? ['fishbowl'] : []),
    ...(wiki.vanishedAt === null ? [] : ['vanished']),
  ];
  return flags.length === 0 ? '-' : flags.join(' ');
}

/** `2026-11-23`, `-` for null. */
const dayOf = (at: number | null): string => (at === null ? '-' : new Date(at).toISOString().slice(0, 10));
