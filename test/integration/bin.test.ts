// Goal: the program runs what was built from the sources it lies beside, or says what to do. Method: the real `bin/` in a folder of its own.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../helpers/with-db.ts';

const BIN = join(import.meta.dirname, '..', '..', 'bin');

function installation() {
  const root = temporaryFolder();
  const write = (path: string, text: string, atSeconds: number): void => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
    utimesSync(join(root, path), atSeconds, atSeconds);
  };
  cpSync(BIN, join(root, 'bin'), { recursive: true });
  write('package.json', '{"type":"module"}', 1000);
  write('src/room/part.ts', '', 1000);
  write('dist/main.js', 'console.log("built", process.argv[2]);', 2000);
  const run = () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/wikiseed.js'), 'status']);
    return { status, out: String(stdout), err: String(stderr) };
  };
  return { root, write, run };
}

test('what was built is run, with or without the sources', () => {
  const { root, run } = installation();
  expect(run()).toEqual({ status: 0, out: 'built status\n', err: '' });
  rmSync(join(root, 'src'), { recursive: true });
  expect(run()).toMatchObject({ status: 0, out: 'built status\n' });
});

test('without a build it says how to make one', () => {
  const { root, run } = installation();
  rmSync(join(root, 'dist'), { recursive: true });
  const { status, out, err } = run();
  expect([status, out]).toEqual([2, '']);
  expect(err).toContain(`run "npm ci", or "npm run build" after it, in ${root}`);
});

test('sources that changed since are not passed over; their tests are', () => {
  const { write, run } = installation();
  write('src/room/part.test.ts', '', 3000);
  expect(run().status).toBe(0);
  write('src/room/part.ts', '', 3000);
  const { status, out, err } = run();
  expect([status, out]).toEqual([2, '']);
  expect(err).toMatch(/newer than what was built .* "npm run build"/);
});
