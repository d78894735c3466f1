import { join } from 'node:path';
import type { Disk } from '../../ports/index.ts';
import { isSafeName, type Layout } from '../../storage/index.ts';
import { KINDS, type RecordKey, type RecordKind, type RecordTables, recordPath } from './record-kinds.ts';
import { decodeRecord } from './record-text.ts';
import type { Finding } from './report.ts';

/** What a records folder is read with. */
export interface ReadDeps {
  disk: Disk;
  layout: Layout;
}

/** True when a catalog was ever recorded in this data directory. */
export async function hasRecords({ disk, layout }: ReadDeps): Promise<boolean> {
  return (await disk.list(layout.records)).length > 0;
}

/**
 * Reads every record of a kind, sorted by name. Unusable ones are told and passed over; half-written ones (`.tmp`) never
 * were records.
 */
export async function* readRecords(
  deps: ReadDeps,
  kind: RecordKind,
  onProblem: (problem: Finding) => void,
): AsyncGenerator<{ key: RecordKey; tables: RecordTables }> {
  for await (const key of keysOnDisk(deps, kind, onProblem)) {
    const text = await deps.disk.readText(recordPath(deps.layout, key));
    if (text === null) continue;
    const record = decodeRecord(text);
    if ('reason' in record) onProblem({ what: `records/${key}.json`, reason: record.reason });
    else yield { key, tables: record.tables };
  }
}

async function* keysOnDisk(
  { disk, layout }: ReadDeps,
  kind: RecordKind,
  onProblem: (problem: Finding) => void,
): AsyncGenerator<RecordKey> {
  const visit = async function* (key: string, depth: number): AsyncGenerator<RecordKey> {
    if (depth === 0) {
      yield key;
      return;
    }
    for (const name of await disk.list(join(layout.records, ...key.split('/')))) {
      const rest = depth > 1 ? name : name.endsWith('.json') ? name.slice(0, -'.json'.length) : null;
      if (rest === null) continue;
      if (isSafeName(rest)) yield* visit(`${key}/${rest}`, depth - 1);
      else onProblem({ what: `records/${key}/${name}`, reason: 'its name is not one that WikiSeed writes' });
    }
  };
  yield* visit(kind, KINDS[kind].segments);
}
