import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'vitest';

const isUpdate = process.env.WIKISEED_UPDATE_GOLDEN === '1';

/** Compares a text with what was reviewed before; `WIKISEED_UPDATE_GOLDEN=1` writes it anew. */
export function expectGolden(path: string, found: string): void {
  if (isUpdate) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, found);
  }
  expect(existsSync(path), `${path} is missing; WIKISEED_UPDATE_GOLDEN=1 writes it`).toBe(true);
  expect(found).toBe(readFileSync(path, 'utf8'));
}
