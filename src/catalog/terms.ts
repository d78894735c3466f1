/*
 * A second door of this room, for threads: words and periods that facts are judged by, without the stores behind index.ts, whose
 * code takes half a second to load.
 */
export { noticeKind } from './notice-kind.ts';
export { HELD_STATUSES, type RunNotice, type RunStatus, TEXT_TYPES } from './types.ts';
export { LATE_MS } from './windows.ts';
