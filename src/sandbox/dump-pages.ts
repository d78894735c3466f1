import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/**
 * nginx's directory listing: name, `DD-Mon-YYYY HH:MM` in UTC, size or `-`; folders first, each group by name.
 * @param isShown asked with names as they are listed, those of folders with a slash behind them
 */
export async function listingPage(
  folder: string,
  pathname: string,
  isShown: (name: string) => boolean = () => true,
): Promise<string> {
  const names = (await readdir(folder))
    .filter((name) => !/^[._]/.test(name) || name === '_SUCCESS')
    .toSorted();
  const rows: { isFolder: boolean; text: string }[] = [];
  const found = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => null)));
  for (const [at, name] of names.entries()) {
    const stats = found[at] ?? null;
    if (stats === null) continue;
    const isFolder = stats.isDirectory();
    const shown = isFolder ? `${name}/` : name;
    if (!isShown(shown)) continue;
    const size = isFolder ? '-' : String(stats.size);
    const gap = ' '.repeat(Math.max(1, 51 - shown.length));
    rows.push({
      isFolder,
      text: `<a href="${encodeURI(shown)}">${shown}</a>${gap}${listedTime(stats.mtime)}${size.padStart(20)}`,
    });
  }
  const sorted = [...rows.filter((row) => row.isFolder), ...rows.filter((row) => !row.isFolder)];
  return `<html>
<head><title>Index of ${pathname}</title></head>
<body bgcolor="white">
<h1>Index of ${pathname}</h1><hr><pre><a href="../">../</a>
${sorted.map((row) => `${row.text}\n`).join('')}</pre><hr></body>
</html>
`;
}

function listedTime(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${two(time.getUTCDate())}-${MONTHS[time.getUTCMonth()]}-${time.getUTCFullYear()}`;
  return `${day} ${two(time.getUTCHours())}:${two(time.getUTCMinutes())}`;
}

/** Stand-in for the licence page. */
export const legalPage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>License information about Wikimedia dump downloads</title></head>
<body><h1>License information</h1>
<p>Text: <a href="https://creativecommons.org/licenses/by-sa/4.0/">CC BY-SA 4.0</a> and GFDL; Wikinews CC BY 2.5; Wikidata CC0.
The content served here is invented by the sandbox and belongs to nobody.</p></body></html>
`;

/** Stand-in for the list of mirrors; it names none, because those of a sandbox are told to whoever is to use them. */
export const mirrorsPage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Mirrors of XML dumps, images and other data</title></head>
<body><h1>Mirrors of XML dumps, images and other data</h1>
<table class="wikitable"><tr><th>Site</th><th>Contents</th><th>Urls</th><th>Location</th></tr></table></body></html>
`;
