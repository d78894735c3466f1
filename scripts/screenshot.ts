/**
 * Photographs a page for the README: `node scripts/screenshot.ts <url> <file.png> [--dark] [--width=1280] [--no-js]`.
 * Needs a Chromium (`CHROMIUM`, default /usr/bin/chromium); says so when there is none.
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dark: { type: 'boolean', default: false },
    width: { type: 'string', default: '1280' },
    'no-js': { type: 'boolean', default: false },
  },
});
const [url, file] = positionals;
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (url === undefined || file === undefined) {
  console.error('usage: node scripts/screenshot.ts <url> <file.png> [--dark] [--width=1280] [--no-js]');
  process.exit(2);
}
if (!existsSync(executablePath)) {
  console.error(`There is no ${executablePath}: install Chromium or name one in CHROMIUM.`);
  process.exit(1);
}

const browser = await chromium.launch({
  executablePath,
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
try {
  const context = await browser.newContext({
    // Bars that still glide to their value would contradict the numbers beside them.
    reducedMotion: 'reduce',
    viewport: { width: Number(values.width), height: 800 },
    colorScheme: values.dark ? 'dark' : 'light',
    deviceScaleFactor: 1,
    javaScriptEnabled: !values['no-js'],
  });
  const page = await context.newPage();
  // Not "networkidle": the live feed keeps its connection open for ever.
  await page.goto(url, { waitUntil: 'load' });
  await page.screenshot({ path: file, fullPage: true });
  console.log(file);
} finally {
  await browser.close();
}
