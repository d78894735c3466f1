import { runDateOf } from '../lib/index.ts';
import { askStatus } from './classic-ask.ts';
import { scanIndex } from './classic-scan.ts';
import { parseDumpStatus } from './dump-status.ts';
import { decideFiles } from './select-files.ts';
import type { DumpSource } from './source.ts';

/**
 * The classic dumps: runs of the 1st and the 20th under `<base>/<db>/<YYYYMMDD>/`, all of them described by `index.json` for
 * each wiki's newest run, and one by one by `dumpstatus.json`.
 */
export function createClassicSource(options: { baseUrl: string }): DumpSource {
  const base = options.baseUrl.replace(/\/+$/, '');
  return {
    name: 'classic',
    runDate: ({ cycleDate }) => runDateOf(cycleDate),
    scan: (look, wikis, known) => scanIndex(base, look, wikis, known),
    askOne: (look, wiki, known) => askStatus(base, look, wiki, known),
    decide: (document, run, selection, begun) =>
      decideFiles(
        parseDumpStatus(document, `the status of ${run.wikiDbName}/${run.runDate}`),
        run,
        selection,
        base,
        begun,
      ),
  };
}
