import { createAppHttp, discoveryConfigOf } from '../app-settings.ts';
import { createCatalog, type Wiki } from '../catalog/index.ts';
import type { Config } from '../config/index.ts';
import { createSystemState, type Db } from '../db/index.ts';
import { createDiscovery, type DiscoveryRoom } from '../discovery/index.ts';
import { createSystemClock, silentLog } from '../ports/index.ts';
import { EXIT } from './exit-codes.ts';
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
    const { judgeWiki } = roomForJudging(config, db);
    const all = createCatalog({ db, clock: createSystemClock() })
      .wikis()
      .map((wiki) => ({ wiki, ...judgeWiki(wiki) }));
    const shown = all.filter(
      ({ wiki, included }) =>
        (options.excluded !== true || !included) && (options.vanished !== true || wiki.vanishedAt !== null),
    );
    if (options.json === true) {
      printJson(
        io,
        shown.map(({ wiki, included, reason }) => ({ ...wiki, included, reason })),
      );
      return EXIT.ok;
    }
    if (all.length === 0)
      io.out.write('No wiki is known yet: the first look at the site matrix names them.\n');
    else if (shown.length === 0) io.out.write('No wiki matches.\n');
    else {
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
      const heads = [
        'wiki',
        'project',
        'language',
        'flags',
        'taken',
        'why',
        'last seen dumped',
        'oldest run',
      ];
      const width = io.out.isTTY === true ? { width: io.out.columns ?? 80 } : {};
      io.out.write(`${formatTable(rows, { heads, flexible: [5], ...width })}\n`);
    }
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
