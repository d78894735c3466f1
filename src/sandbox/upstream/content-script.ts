import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContentExportKind, contentFolder, contentRoot } from '../content-export.ts';
import { fileDigests } from '../file-digests.ts';
import { setTime } from '../folder-times.ts';
import { renewFile } from './renew-file.ts';
import { HELD_FOLDER } from './run-state.ts';
import { laterThan } from './run-view.ts';
import type { ScriptStage } from './stage.ts';

/** What of an export is there; whatever is left out is there whole. */
export interface ContentShown {
  /** The first so many files by page number, or the named ones; the others are absent and 404. */
  files?: number | readonly string[];
  /** `SHA256SUMS`: whole, with the shown files only, or absent. */
  sums?: boolean | 'shown';
  /** `_SUCCESS`. */
  success?: boolean;
}

/** One content export of one wiki, to be changed as upstream changes it. */
export interface ContentScript {
  readonly kind: ContentExportKind;
  readonly dbname: string;
  /** `YYYY-MM-DD`. */
  readonly date: string;
  /** All its files by page number, also those not shown. */
  files(): Promise<readonly string[]>;
  /** `await content.show({ files: 1, sums: false, success: false })`; `await content.show({})` completes it. */
  show(what: ContentShown): Promise<void>;
  /**
   * Makes it again: new bytes, sizes and hashes, `SHA256SUMS` and `_SUCCESS` with new times.
   * @param options.rename new name of a file, for other page ranges
   */
  rerun(options?: { rename?: (file: string) => string; sameSize?: boolean }): Promise<void>;
  /** Its folder of the date vanishes. */
  remove(): Promise<void>;
}

/** Keeps the whole sums while upstream does not show them. */
const SUMS_KEPT = '.SHA256SUMS';
const DATA = /^[a-z0-9_]+-\d{4}-\d{2}-\d{2}-p\d+p\d+\.xml\.bz2$/;

/** Makes the script of one export. */
export function createContentScript(
  stage: ScriptStage,
  kind: ContentExportKind,
  dbname: string,
  date: string,
): ContentScript {
  const folder = contentFolder(stage.root, kind, dbname, date);
  const held = join(folder, HELD_FOLDER);
  const listed = async (): Promise<string[]> => {
    const names = await readdir(folder).catch(() => null);
    if (names === null) throw new Error(`the sandbox has no content export ${kind} ${date} of ${dbname}`);
    return names.filter((name) => DATA.test(name));
  };
  const allFiles = async (): Promise<string[]> => {
    const hidden = await readdir(held).catch(() => []);
    return [...(await listed()), ...hidden.filter((name) => DATA.test(name))].toSorted(
      (a, b) => firstPage(a) - firstPage(b),
    );
  };
  const put = async (name: string, text: string): Promise<void> => {
    const time = await laterThan(join(folder, name), stage.now());
    await writeFile(join(folder, `.${name}.new`), text);
    await setTime(join(folder, `.${name}.new`), time);
    await rename(join(folder, `.${name}.new`), join(folder, name));
  };
  /** All hashes by name. */
  const wholeSums = async (): Promise<Map<string, string>> => {
    const text =
      (await readFile(join(folder, SUMS_KEPT), 'utf8').catch(() => null)) ??
      (await readFile(join(folder, 'SHA256SUMS'), 'utf8'));
    return new Map(
      text
        .trim()
        .split('\n')
        .map((line) => [line.slice(66), line.slice(0, 64)]),
    );
  };
  const show = async ({ files = Number.POSITIVE_INFINITY, sums = true, success = true }: ContentShown) => {
    const all = await allFiles();
    const shown = typeof files === 'number' ? all.slice(0, files) : files;
    for (const name of shown)
      if (!all.includes(name)) throw new RangeError(`the export ${date} of ${dbname} has no file ${name}`);
    const before = new Set(await listed());
    await mkdir(held, { recursive: true });
    for (const name of all) {
      if (shown.includes(name) && !before.has(name)) {
        await rename(join(held, name), join(folder, name));
        await setTime(join(folder, name), new Date(stage.now()));
      } else if (!shown.includes(name) && before.has(name))
        await rename(join(folder, name), join(held, name));
    }
    const known = await wholeSums();
    await writeFile(join(folder, SUMS_KEPT), sumsText(known));
    if (sums === false) await rm(join(folder, 'SHA256SUMS'), { force: true });
    else {
      const lines = [...known].filter(([name]) => sums === true || shown.includes(name));
      await put('SHA256SUMS', sumsText(new Map(lines)));
    }
    if (success) await put('_SUCCESS', '');
    else await rm(join(folder, '_SUCCESS'), { force: true });
    await stage.stampFolder(folder);
  };

  return {
    kind,
    dbname,
    date,
    files: () => stage.exclusive(allFiles),
    show: (what) => stage.exclusive(() => show(what)),
    rerun: ({ rename: nameOf = (file: string) => file, sameSize } = {}) =>
      stage.exclusive(async () => {
        const sums = await wholeSums();
        for (const name of await allFiles()) {
          const next = nameOf(name);
          const isListed = (await stat(join(folder, name)).catch(() => null)) !== null;
          const place = isListed ? folder : held;
          const sha256 = await renewContent(stage, join(place, name), join(place, next), sameSize);
          await setTime(join(place, next), new Date(stage.now()));
          sums.delete(name);
          sums.set(next, sha256);
        }
        await writeFile(join(folder, SUMS_KEPT), sumsText(sums));
        await show({});
      }),
    remove: () =>
      stage.exclusive(async () => {
        await listed();
        const ofWiki = join(contentRoot(stage.root, kind), dbname);
        await rm(join(ofWiki, date), { recursive: true });
        await stage.stampFolder(ofWiki);
      }),
  };
}

/**
 * Starts an export: its folders are there, and nothing in them.
 * @param like date of the export of the same wiki whose files are taken for it, renewed
 */
export async function beginContent(
  stage: ScriptStage,
  run: { kind: ContentExportKind; dbname: string; date: string },
  like: string,
): Promise<void> {
  const { kind, dbname, date } = run;
  const source = createContentScript({ ...stage, exclusive: (step) => step() }, kind, dbname, like);
  const from = contentFolder(stage.root, kind, dbname, like);
  const folder = contentFolder(stage.root, kind, dbname, date);
  await mkdir(join(folder, HELD_FOLDER), { recursive: true });
  const sums = new Map<string, string>();
  for (const name of await source.files()) {
    const isListed = (await stat(join(from, name)).catch(() => null)) !== null;
    const next = name.replace(like, date);
    const path = join(isListed ? from : join(from, HELD_FOLDER), name);
    sums.set(next, await renewContent(stage, path, join(folder, HELD_FOLDER, next), false, true));
  }
  await writeFile(join(folder, SUMS_KEPT), sumsText(sums));
  for (const path of [folder, join(folder, '..'), join(folder, '..', '..'), join(folder, '..', '..', '..')])
    await stage.stampFolder(path);
}

/** Writes a file's new bytes, of which a hollow world has only the length; the old file goes unless it is kept. */
async function renewContent(
  stage: ScriptStage,
  path: string,
  target: string,
  sameSize = false,
  isKept = false,
): Promise<string> {
  if (await stage.isHollow()) {
    const sizeBytes = (await stat(path)).size + (sameSize ? 0 : 14);
    await writeFile(target, '', { flag: 'a' });
    await truncate(target, sizeBytes);
    if (target !== path && !isKept) await rm(path);
    return createHash('sha256').update(`${target} ${sizeBytes} ${stage.now()}`).digest('hex');
  }
  await renewFile(path, target, { sameSize });
  if (target !== path && !isKept) await rm(path);
  return (await fileDigests(target)).sha256;
}

function firstPage(name: string): number {
  return Number(/-p(\d+)p\d+\.xml\.bz2$/.exec(name)?.[1] ?? 0);
}

function sumsText(sums: ReadonlyMap<string, string>): string {
  const names = [...sums.keys()].toSorted();
  return names.map((name) => `${sums.get(name)}  ${name}\n`).join('');
}
