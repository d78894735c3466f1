import { isUnverified, type Verification } from '../catalog/index.ts';
import { formatBytes } from '../lib/index.ts';
import type { CliIo } from './io.ts';
import { plainText } from './table.ts';
import type { VerifiedFile } from './verify-files.ts';
import type { Recorded } from './verify-record.ts';
import { counted } from './words.ts';

/** How a damaged file ended. */
export interface Repair {
  state: 'sound' | 'repaired' | 'damaged' | 'gone' | 'failed';
  reason: string | null;
}

/** A list on a screen; the whole is in `--json`. */
const LIST_MAX = 20;

type Level = Verification | 'unverified';

/** By what files were proved when they were fetched, in the order in which they are told. */
const LEVELS: Readonly<Record<Level, string>> = {
  sha1: "by upstream's SHA-1",
  md5: "by upstream's MD5",
  'sha256-upstream': "by upstream's SHA-256",
  'structure-only': 'by their structure only: upstream gave no hash',
  unverified: 'by nothing (unverified): no hash, and no structure to check',
};

/** Recorded as damaged, and read and right just now. */
export const isSoundByNow = ({ state, damagedAt }: VerifiedFile): boolean =>
  state === 'sound' && damagedAt !== null;

/** Nothing is wrong with it any more, or it is not ours any more. */
export const isHealed = (repair: Repair | undefined): boolean =>
  repair !== undefined && repair.state !== 'damaged' && repair.state !== 'failed';

function levelsOf(files: readonly VerifiedFile[]): Record<Level, number> {
  const levels = { sha1: 0, md5: 0, 'sha256-upstream': 0, 'structure-only': 0, unverified: 0 };
  for (const file of files) levels[isUnverified(file) ? 'unverified' : file.verification] += 1;
  return levels;
}

/** What `--json` prints. */
export function asJson(
  files: readonly VerifiedFile[],
  { repairs, recorded }: { repairs: ReadonlyMap<number, Repair>; recorded: Recorded },
): object {
  const count = (state: VerifiedFile['state']): number => files.filter((file) => file.state === state).length;
  return {
    filesRead: files.length,
    bytesRead: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    sound: count('sound'),
    damaged: count('damaged'),
    unread: count('unread'),
    /** Of the damaged ones, as no copy any more until they are repaired. */
    recorded: recorded.damaged.size,
    notRecorded: recorded.problem,
    repaired: files.filter(({ id, state }) => state !== 'sound' && isHealed(repairs.get(id))).length,
    levels: levelsOf(files),
    files: files.map((file) => ({ ...file, repair: repairs.get(file.id) ?? null })),
  };
}

/** The same for people. */
export function printResult(
  io: CliIo,
  files: readonly VerifiedFile[],
  {
    repairs,
    recorded,
    isRepair,
  }: { repairs: ReadonlyMap<number, Repair>; recorded: Recorded; isRepair: boolean },
): void {
  const line = (text: string): void => void io.out.write(`${plainText(text)}\n`);
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  line(
    `${counted(files.length, 'file')} read, ${formatBytes(bytes)}. They were proved, when they were fetched,`,
  );
  for (const [level, count] of Object.entries(levelsOf(files)))
    if (count > 0) line(`  ${String(count).padStart(7)} ${LEVELS[level as Level]}`);
  const bad = files.filter(({ state }) => state !== 'sound');
  if (bad.length === 0) line('All of them are what is recorded.');
  const soundByNow = files.filter(isSoundByNow).filter(({ id }) => !isHealed(repairs.get(id)));
  if (soundByNow.length > 0)
    line(
      `${counted(soundByNow.length, 'file')} recorded as damaged: sound by now. To take note of it: wikiseed verify --repair`,
    );
  if (bad.length === 0) return;
  for (const file of bad.slice(0, LIST_MAX)) {
    line(`${file.localPath} (${file.verification}): ${wordsOf(file)}`);
    const repair = repairs.get(file.id);
    if (repair !== undefined) line(`  ${repairWords(repair)}`);
  }
  if (bad.length > LIST_MAX) line(`and ${bad.length - LIST_MAX} more; --json lists all`);
  const healed = bad.filter(({ id }) => isHealed(repairs.get(id))).length;
  const left = bad.length - healed;
  line(
    healed > 0
      ? `${counted(healed, 'file')} repaired, ${left} left.`
      : `${counted(left, 'file')} left as they were found.`,
  );
  if (recorded.problem !== null)
    line(`They could not be recorded as damaged, and still count as whole: ${recorded.problem}`);
  else if (left > 0 && recorded.damaged.size > 0)
    line('What is damaged is recorded so: it counts as no copy until it is repaired.');
  if (left > 0 && !isRepair) line('To put them right: wikiseed verify --repair');
  else if (left > 0) line('What nobody has now is tried again every day while the daemon runs.');
}

function wordsOf({ state, reason }: VerifiedFile): string {
  return state === 'unread' ? `could not be read: ${reason}` : `damaged: ${reason}`;
}

function repairWords({ state, reason }: Repair): string {
  switch (state) {
    case 'repaired':
      return 'repaired';
    case 'sound':
      return 'sound by now';
    case 'gone':
      return 'not held any more';
    case 'damaged':
      return 'not repaired: nobody who was asked has the right bytes now';
    case 'failed':
      return `not repaired: ${reason}`;
  }
}
