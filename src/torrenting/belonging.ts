import { z } from 'zod';
import {
  containerOf,
  type DumpFile,
  type DumpRun,
  HELD_STATUSES,
  NOTICE_KINDS,
  type NoticeKind,
  noticeKind,
  type RunNotice,
} from '../catalog/index.ts';
import { byBytes } from './byte-order.ts';
import type { Variant } from './which-torrent.ts';

/** Whose torrent tells of a file, and of a dump type that a run does not give. */
export interface Belonging {
  /** It is carried by this variant, or named as a gap of it. */
  ofFile(file: DumpFile): boolean;
  ofNotice(dumpType: string, run: Pick<DumpRun, 'source'>): boolean;
}

const Notices = z.array(
  z.object({ dumpType: z.string(), reason: z.string(), kind: z.enum(NOTICE_KINDS).optional() }),
);

/** True for a file whose bytes are on our disk and were proved. */
export function isHeld(file: DumpFile): boolean {
  return (
    HELD_STATUSES.includes(file.ourStatus) &&
    file.verification !== null &&
    file.localPath !== null &&
    file.sha1 !== null
  );
}

/** True for a held file that nobody found to be damaged since: what a torrent may carry. */
export function isSound(file: DumpFile): boolean {
  return isHeld(file) && file.damagedAt === null;
}

/** True for a held file whose bytes are known to be wrong: it stays as it is until it is repaired. */
export function isDamaged(file: DumpFile): boolean {
  return isHeld(file) && file.damagedAt !== null;
}

/**
 * A file of a type that both lists name (stubs, titles) travels in both torrents, so that each can be used without the
 * other. Told from the files of the cycle, not from a setting: a notice that fits nowhere else is said in both torrents.
 */
export function belongingTo(
  variant: Variant,
  all: readonly DumpFile[],
  historyTypes: readonly string[],
): Belonging {
  const typesWhere = (isHistory: boolean): Set<string> =>
    new Set(all.filter((file) => file.isHistory === isHistory).map((file) => file.dumpType));
  const [historyOnly, regularToo] = [typesWhere(true), typesWhere(false)];
  if (variant === 'history')
    return {
      ofFile: (file) => file.isHistory || historyTypes.includes(file.dumpType),
      ofNotice: (dumpType) => historyTypes.includes(dumpType),
    };
  return {
    ofFile: (file) => !file.isHistory,
    ofNotice: (dumpType) => regularToo.has(dumpType) || !historyOnly.has(dumpType),
  };
}

/**
 * Of the torrent of unpacked files: the packed files without history.
 * @param types only these dump types; none = all
 */
export function belongingToUnpacked(types: readonly string[]): Belonging {
  const isWanted = (dumpType: string): boolean => types.length === 0 || types.includes(dumpType);
  return {
    ofFile: (file) => !file.isHistory && isWanted(file.dumpType) && containerOf(file.filename) !== null,
    ofNotice: isWanted,
  };
}

/** Of one run: the files with full history, or the others. Nothing is told of what the run does not give: there are no texts. */
export function belongingToRun(variant: Variant): Belonging {
  return {
    ofFile: (file) => file.isHistory === (variant === 'history'),
    ofNotice: () => false,
  };
}

/** The notices of a run, in byte order, fit for a payload; each with its kind. */
export function noticesOf(run: Pick<DumpRun, 'notices' | 'status'>): (RunNotice & { kind: NoticeKind })[] {
  return Notices.parse(JSON.parse(run.notices))
    .sort((a, b) => byBytes(`${a.dumpType}\n${a.reason}`, `${b.dumpType}\n${b.reason}`))
    .map((notice) => ({
      dumpType: notice.dumpType,
      reason: withoutHosts(notice.reason),
      kind: noticeKind(notice, run),
    }));
}

/** Which server an operator asked is no fact about the dump, and would give each operator another infohash. */
export function withoutHosts(reason: string): string {
  return reason
    .replace(/https?:\/\/[^\s/]+/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
