import { join } from 'node:path';
import type { Disk } from '../../ports/index.ts';
import { isSafeName, type Layout } from '../../storage/index.ts';
import { listFolder, lookAt, RECORD_MAX_BYTES, readText, Unreadable } from './read-file.ts';
import { KINDS, type RecordKey, type RecordKind, type RecordTables, recordPath } from './record-kinds.ts';
import { decodeRecord } from './record-text.ts';
import type { Finding } from './report.ts';
import type { UnreadableFiles } from './unreadable-files.ts';

/** What a records folder is read with. */
export interface ReadDeps {
  disk: Disk;
  layout: Layout;
}

/** The same, with a place for what cannot be read. */
export interface TellingReadDeps extends ReadDeps {
  unreadable: Pick<UnreadableFiles, 'add'>;
}

/** True when a catalog was ever recorded in this data directory; also when that cannot be seen any more. */
export async function hasRecords({ disk, layout }: ReadDeps): Promise<boolean> {
  const names = await listFolder(disk, layout.records);
  return names instanceof Unreadable || names.length > 0;
}

/**
 * Reads every record of a kind, sorted by name. Unusable ones are told and passed over; half-written ones (`.tmp`) never
 * were records.
 */
export async function* readRecords(
  deps: TellingReadDeps,
  kind: RecordKind,
  onProblem: (problem: Finding) => void,
): AsyncGenerator<{ key: RecordKey; tables: RecordTables }> {
  for await (const key of keysOnDisk(deps, kind, onProblem)) {
    const path = recordPath(deps.layout, key);
    const text = await readText(deps.disk, path, RECORD_MAX_BYTES);
    if (text === null) {
      // A link to nothing has a name all the same; of a whole table the name was not looked up.
      if (KINDS[kind].segments > 0)
        onProblem({ what: `records/${key}.json`, reason: 'it is a link to nothing' });
      continue;
    }
    if (text instanceof Unreadable) {
      deps.unreadable.add(path, text.reason);
      continue;
    }
    const record = decodeRecord(text);
    if ('reason' in record) onProblem({ what: `records/${key}.json`, reason: record.reason });
    else yield { key, tables: record.tables };
  }
}

async function* keysOnDisk(
  deps: TellingReadDeps,
  kind: RecordKind,
  onProblem: (problem: Finding) => void,
): AsyncGenerator<RecordKey> {
  const { layout } = deps;
  const visit = async function* (key: string, depth: number): AsyncGenerator<RecordKey> {
    if (depth === 0) {
      yield key;
      return;
    }
    for (const name of await namesBelow(deps, join(layout.records, ...key.split('/')))) {
      const rest = depth > 1 ? name : name.endsWith('.json') ? name.slice(0, -'.json'.length) : null;
      if (rest === null) continue;
      if (isSafeName(rest)) yield* visit(`${key}/${rest}`, depth - 1);
      else onProblem({ what: `records/${key}/${name}`, reason: 'its name is not one that WikiSeed writes' });
    }
  };
  yield* visit(kind, KINDS[kind].segments);
}

/** Folders of ours are kinds and dates; whatever else bears such a name keeps the daemon from writing records into it. */
async function namesBelow({ disk, layout, unreadable }: TellingReadDeps, folder: string): Promise<string[]> {
  const names = await listFolder(disk, folder);
  if (names instanceof Unreadable) {
    unreadable.add(folder, names.reason);
    return [];
  }
  if (names.length > 0) return names;
  const isOurs = /^(?:[a-z_]+|\d{8}|\d{4}-\d{2}-\d{2})$/.test(
    folder
      .slice(layout.records.length + 1)
      .split('/')
      .at(-1) ?? '',
  );
  const facts = isOurs ? await lookAt(disk, folder) : null;
  if (facts !== null && !(facts instanceof Unreadable) && !facts.isDirectory)
    unreadable.add(folder, 'it should be a folder');
  return [];
}
