import type { IncomingMessage } from 'node:http';
import type { FaultKind, FaultList, FaultSpec, SandboxServer } from './faults.ts';
import { asksFor, type Span } from './requested-range.ts';

/** Whose script it is, and which request it may hit. */
export interface Asked {
  faults: FaultList;
  server: SandboxServer;
  req: IncomingMessage;
}

const HOUR_MS = 3_600_000;

/** `METHOD /path?query`, what fault scripts match. */
export function requestLine(req: IncomingMessage): string {
  return `${req.method ?? 'GET'} ${req.url ?? '/'}`;
}

/** Takes a fault of these kinds that hits this request, its byte in the file considered; null when none does. */
export function takeFor(
  { faults, server, req }: Asked,
  kinds: readonly FaultKind[],
  isApplicable: (spec: Readonly<FaultSpec>) => boolean = () => true,
): ReturnType<FaultList['take']> {
  return faults.take(
    server,
    requestLine(req),
    kinds,
    (spec) => (spec.fileByte === undefined || asksFor(req, spec.fileByte)) && isApplicable(spec),
  );
}

/** Size and time of a file as the script shows them. */
export function shownFile(
  asked: Asked,
  stats: { size: number; mtimeMs: number },
): { size: number; mtimeMs: number; isWeak: boolean } {
  const wrong = takeFor(asked, ['wrong-size']);
  const size = wrong === null ? stats.size : (wrong.spec.sizeBytes ?? Math.max(0, stats.size - 1));
  const hasChanged = takeFor(asked, ['changed']) !== null;
  const isWeak = takeFor(asked, ['weak-etag']) !== null;
  return { size, mtimeMs: stats.mtimeMs + (hasChanged ? HOUR_MS : 0), isWeak };
}

/** What is sent of a file of `size` bytes to a request for `range`, the script considered; null for the whole file. */
export function sentSpan(
  asked: Asked,
  range: Span | 'unsatisfiable' | null,
  size: number,
): (Span & { contentRange: string }) | 'unsatisfiable' | null {
  if (range === null) return null;
  const hit = takeFor(asked, ['ignore-range', 'unsatisfiable', 'wrong-range'], ({ kind, ...spec }) =>
    kind === 'wrong-range' ? range !== 'unsatisfiable' && shifted(range, spec, size) !== null : true,
  );
  if (hit?.spec.kind === 'ignore-range') return null;
  if (hit?.spec.kind === 'unsatisfiable' || range === 'unsatisfiable') return 'unsatisfiable';
  const span = (hit === null ? null : shifted(range, hit.spec, size)) ?? range;
  return { ...span, contentRange: hit?.spec.contentRange ?? `bytes ${span.start}-${span.end}/${size}` };
}

/** null when nothing would be left to send. */
function shifted(
  { start, end }: Span,
  spec: Pick<FaultSpec, 'contentRange' | 'shiftBytes'>,
  size: number,
): Span | null {
  if (spec.contentRange !== undefined) return { start, end };
  const first = start + (spec.shiftBytes ?? 1);
  return first < 0 || first > end || end >= size ? null : { start: first, end };
}
