import { type DumpRun, NOTICE_KINDS, type NoticeKind, type RunNotice } from './types.ts';

/** What the reasons begin with, in rows that were written before notices had a kind. */
const WORDS: readonly [string, NoticeKind][] = [
  ['failed upstream', 'failed'],
  ['skipped by upstream', 'skipped'],
  ['not offered', 'not_offered'],
  ['refused', 'refused'],
  ['upstream lacks some', 'lacking'],
  ['upstream lists it as done', 'lacking'],
  ['the export is complete, but has no files', 'lacking'],
  ['named in SHA256SUMS, but not listed', 'lacking'],
  ['empty upstream', 'lacking'],
  ['listed, but without one certain hash', 'waiting'],
  ['upstream does not tell the size', 'waiting'],
];

/** What kind of lack a notice tells, also of a row that does not say it. */
export function noticeKind(notice: RunNotice, run: Pick<DumpRun, 'status'>): NoticeKind {
  if (notice.kind !== undefined) return notice.kind;
  // Two formats of the history have a reason each, in one sentence.
  const parts = notice.reason.split('; ');
  const kinds = WORDS.filter(([words]) => parts.some((part) => part.startsWith(words))).map(
    ([, kind]) => kind,
  );
  return (
    gravest(kinds) ?? (notice.dumpType === '*' && run.status === 'in_progress' ? 'waiting' : 'not_offered')
  );
}

/** The one that matters most of several lacks of one dump type; null of none. */
export function gravest(kinds: readonly NoticeKind[]): NoticeKind | null {
  return NOTICE_KINDS.find((kind) => kinds.includes(kind)) ?? null;
}
