#!/usr/bin/env node
// Plain JavaScript, so that an old Node gets a sentence instead of a syntax error.
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  fail(
    `WikiSeed needs Node 24 or newer, this is ${process.version}. In a checkout, "npm run wikiseed -- <command>" brings its own.`,
  );
}

const root = fileURLToPath(new URL('..', import.meta.url));
const builtAt = changedAt(`${root}dist/main.js`);
if (builtAt === null) fail(`WikiSeed is not built: run "npm ci", or "npm run build" after it, in ${root}`);
if (newestSource() > builtAt) {
  fail(`The sources in ${root}src are newer than what was built from them: run "npm run build" there.`);
}
await import('../dist/main.js');

function fail(message) {
  console.error(message);
  process.exit(2);
}

function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null;
}

/** Of the program itself. An installation without sources has none. */
function newestSource() {
  if (changedAt(`${root}src`) === null) return 0;
  const names = readdirSync(`${root}src`, { recursive: true }).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
  );
  return Math.max(...names.map((name) => changedAt(`${root}src/${name}`) ?? 0));
}
