#!/usr/bin/env node
// Plain JavaScript, so that an old Node gets a sentence instead of a syntax error.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `WikiSeed needs Node 24 or newer, this is ${process.version}. In a checkout, "npm run wikiseed -- <command>" brings its own.`,
  );
  process.exit(2);
}
await import('../src/main.ts');
