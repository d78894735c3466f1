import { registerHooks } from 'node:module';

/* What is measured is what operators run: an import of `src/` gets the JavaScript that was built from it, in this process and in those it forks. */

const SRC = new URL('../src/', import.meta.url).href;
const DIST = new URL('../dist/', import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    if (!found.url.startsWith(SRC)) return found;
    return { ...found, url: found.url.replace(SRC, DIST).replace(/\.ts$/, '.js'), format: 'module' };
  },
});
