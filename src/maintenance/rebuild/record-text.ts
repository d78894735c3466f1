import { createHash } from 'node:crypto';
import type { RecordTables, Row } from './record-kinds.ts';

const FORMAT = 'wikiseed-record';
const VERSION = 1;

/** A record as text. It carries its own SHA-256, because a wrong digit in a hash would condemn good bytes. */
export function encodeRecord(tables: RecordTables): string {
  // Written once for digest and record alike: the largest runs have a megabyte of rows.
  const text = JSON.stringify(tables);
  return `{"format":"${FORMAT}","version":${VERSION},"sha256":"${digestOf(text)}","tables":${text}}\n`;
}

/** Reads a record; what is torn, damaged, foreign or from a later version comes back as the reason, in one sentence. */
export function decodeRecord(text: string): { tables: RecordTables } | { reason: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { reason: 'it is torn or no JSON' };
  }
  if (!isObject(value) || value.format !== FORMAT) return { reason: 'it is no record of WikiSeed' };
  if (value.version !== VERSION)
    return { reason: `it has version ${String(value.version)}, which this version does not know` };
  const { tables } = value;
  if (!isObject(tables) || !Object.values(tables).every(isRowList))
    return { reason: 'it does not hold rows' };
  if (value.sha256 !== digestOf(JSON.stringify(tables)))
    return { reason: 'its bytes changed after it was written' };
  return { tables: tables as RecordTables };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isRowList(value: unknown): value is Row[] {
  return Array.isArray(value) && value.every((row) => isObject(row) && Object.values(row).every(isValue));
}

function isValue(value: unknown): boolean {
  return value === null || typeof value === 'string' || Number.isFinite(value);
}
