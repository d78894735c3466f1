import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { defineConfig, type Plugin } from 'vitest/config';

const src = join(import.meta.dirname, 'src');
const dist = join(import.meta.dirname, 'dist');

/** The modules under test start their threads from what `test/build.ts` built: as JavaScript, as operators run them (decision 0026). */
const threadsAsBuilt: Plugin = {
  name: 'threads-as-built',
  enforce: 'pre',
  transform(code, id) {
    if (!id.startsWith(src) || !code.includes('threadScript(import.meta.url')) return null;
    const built = pathToFileURL(join(dist, relative(src, id).replace(/\.ts$/, '.js'))).href;
    return {
      code: code.replaceAll('threadScript(import.meta.url', `threadScript(${JSON.stringify(built)}`),
      map: null,
    };
  },
};

export default defineConfig({
  plugins: [threadsAsBuilt],
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: 'test/build.ts',
    // Two cores, and a third file for the time that the others wait for programs and sockets.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Something that comes about is waited for, not timed: a busy machine takes longer.
    expect: { poll: { timeout: 30_000 } },
    reporters: ['default'],
  },
});
