import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bzip2, type Bzip2Block, bzip2Stream } from './bzip2.ts';
import { exportFooter, exportHeader, exportPages, fullTitle } from './export-xml.ts';
import { type PageModel, sevenZipWorthwhileChars } from './page-model.ts';
import {
  gzipText,
  type PartWriter,
  type PublishedFile,
  type RunJob,
  writeRunDescription,
  writeRunFile,
} from './run-files.ts';
import { jobClock, type Part, siteInfo, splitParts } from './run-parts.ts';
import { compressLzma2, type Lzma2Run, storeLzma2, writeSevenZip } from './seven-zip.ts';
import { type TableName, tableDump, tableJobs, titleList } from './sql-tables.ts';

interface RunOptions {
  /** The dump tree; the run goes to `<root>/<dbname>/<date>`. */
  root: string;
  model: PageModel;
  seed: number;
  budgetBytes: number;
  hasHistory: boolean;
  sevenZip: string | null;
  bzip2: Bzip2;
}

/**
 * Writes one run of one wiki: every data file, then the files that describe it, `dumpstatus.json` last.
 * @returns the sum of the published files' sizes in bytes
 */
export async function generateRun(options: RunOptions): Promise<number> {
  const { root, model, hasHistory, sevenZip } = options;
  const { wiki, date } = model;
  const folder = join(root, wiki.dbname, date);
  await mkdir(folder, { recursive: true });
  const jobs: RunJob[] = [];
  const clock = jobClock(date);
  let total = 0;
  const job = async (name: string, make: (put: PutFile) => Promise<PublishedFile[]>): Promise<void> => {
    const updated = clock();
    const modifiedAt = new Date(`${updated.replace(' ', 'T')}Z`);
    const files = await make((rest, produce, headerBytes) =>
      writeRunFile(join(folder, `${wiki.dbname}-${date}-${rest}`), modifiedAt, produce, headerBytes),
    );
    total += files.reduce((sum, file) => sum + file.sizeBytes, 0);
    jobs.push({ name, status: 'done', updated, files });
  };
  const whole: Part = { number: '', range: '', segments: model.segments };
  const parts = wiki.isSplit ? splitParts(model.segments) : [whole];
  const pages = model.segments.flatMap((segment) => segment.pages);
  const table = (name: TableName, linkCount = 0): Promise<void> =>
    job(tableJobs[name], async (put) => {
      const completedAt = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)} 08:00:00`;
      const seed = `${options.seed}/${wiki.dbname}/${date}`;
      const text = tableDump(name, { wiki, pages, seed, linkCount, completedAt });
      return [await put(`${name}.sql.gz`, writeText(text))];
    });

  const files = new RunFiles(options);
  // The archiver is another process: it works while this one writes the other files.
  const archiveRuns = hasHistory && sevenZip !== null ? files.startArchives(parts, sevenZip) : null;
  for (const name of Object.keys(tableJobs) as TableName[]) if (name !== 'pagelinks') await table(name);
  await job('xmlstubsdump', (put) => files.stubs(put, parts));
  if (wiki.isSplit) await job('xmlstubsdumprecombine', (put) => files.stubs(put, [whole]));
  await job('articlesdump', (put) => files.articles(put, parts));
  if (wiki.isSplit)
    await job('articlesdumprecombine', (put) => files.recombined(put, 'pages-articles', parts, true));
  await job('articlesmultistreamdump', (put) => files.multistream(put, parts));
  if (wiki.isSplit) await job('articlesmultistreamdumprecombine', (put) => files.multistream(put, [whole]));
  await job('metacurrentdump', (put) => files.metaCurrent(put, parts));
  if (wiki.isSplit)
    await job('metacurrentdumprecombine', (put) => files.recombined(put, 'pages-meta-current', parts, false));
  await job('namespaces', async (put) => [
    await put('siteinfo-namespaces.json.gz', writeText(siteInfo(model))),
  ]);
  await job('pagetitlesdump', async (put) => [
    await put('all-titles-in-ns0.gz', writeText(titleList(pages, true))),
  ]);
  await job('allpagetitlesdump', async (put) => [
    await put('all-titles.gz', writeText(titleList(pages, false))),
  ]);
  if (hasHistory) {
    await job('metahistorybz2dump', (put) => files.history(put, parts));
    if (archiveRuns !== null)
      await job('metahistory7zdump', (put) => files.historyArchive(put, parts, archiveRuns));
  } else {
    for (const name of ['metahistorybz2dump', ...(sevenZip === null ? [] : ['metahistory7zdump'])]) {
      jobs.push({ name, status: 'skipped', updated: clock(), files: [] });
    }
  }
  // The links come last, because they can be as many as it takes to fill the budget: about 4.4 bytes a row.
  const missing = Math.max(0, options.budgetBytes - total - 500);
  await table('pagelinks', Math.round(Math.min(250_000, Math.max(pages.length * 2, missing / 4.4))));
  await writeRunDescription({ folder, dbname: wiki.dbname, date, jobs });
  return total;
}

type PutFile = (
  rest: string,
  produce: (write: PartWriter) => Promise<Buffer | undefined>,
  headerBytes?: number,
) => Promise<PublishedFile>;

const writeText =
  (text: string) =>
  async (write: PartWriter): Promise<undefined> => {
    await write(gzipText(text));
    return undefined;
  };

/** The families of files made from pages, for a run's parts or its whole. */
class RunFiles {
  readonly #options: RunOptions;
  readonly #header: Bzip2Block;
  readonly #footer: Bzip2Block;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#header = options.bzip2.block(Buffer.from(exportHeader(options.model.wiki)));
    this.#footer = options.bzip2.block(Buffer.from(exportFooter));
  }

  async stubs(put: PutFile, parts: readonly Part[]): Promise<PublishedFile[]> {
    const { wiki } = this.#options.model;
    const families = [
      { name: 'stub-meta-history', isContentOnly: false, hasHistory: true },
      { name: 'stub-meta-current', isContentOnly: false, hasHistory: false },
      { name: 'stub-articles', isContentOnly: true, hasHistory: false },
    ];
    const files: PublishedFile[] = [];
    for (const { name, isContentOnly, hasHistory } of families) {
      for (const part of parts) {
        const pages = part.segments.filter((s) => s.isContent || !isContentOnly).flatMap((s) => s.pages);
        const text = exportPages(pages, wiki, { hasHistory, hasText: false }).join('');
        const xml = `${exportHeader(wiki)}${text}${exportFooter}`;
        files.push(await put(`${name}${part.number}.xml.gz`, writeText(xml)));
      }
    }
    return files;
  }

  articles(put: PutFile, parts: readonly Part[]): Promise<PublishedFile[]> {
    return this.#eachPart(parts, (part) => {
      const blocks = part.segments.filter((s) => s.isContent).flatMap((s) => s.blocks);
      return put(`pages-articles${part.number}.xml${part.range}.bz2`, this.#stream(blocks));
    });
  }

  metaCurrent(put: PutFile, parts: readonly Part[]): Promise<PublishedFile[]> {
    return this.#eachPart(parts, (part) =>
      put(
        `pages-meta-current${part.number}.xml${part.range}.bz2`,
        this.#stream(part.segments.flatMap((s) => s.blocks)),
      ),
    );
  }

  history(put: PutFile, parts: readonly Part[]): Promise<PublishedFile[]> {
    return this.#eachPart(parts, (part) =>
      put(
        `pages-meta-history${part.number}.xml${part.range}.bz2`,
        this.#stream(part.segments.flatMap((s) => s.historyBlocks)),
      ),
    );
  }

  /** The whole as recombination makes it: header, the parts' bodies and footer as streams of their own. */
  async recombined(
    put: PutFile,
    name: string,
    parts: readonly Part[],
    isContentOnly: boolean,
  ): Promise<PublishedFile[]> {
    const file = await put(`${name}.xml.bz2`, async (write) => {
      for (const part of bzip2Stream([this.#header])) await write(part);
      for (const { segments } of parts) {
        const chosen = segments.filter((segment) => segment.isContent || !isContentOnly);
        for (const part of bzip2Stream(chosen.flatMap((segment) => segment.blocks))) await write(part);
      }
      for (const part of bzip2Stream([this.#footer])) await write(part);
      return undefined;
    });
    return [file];
  }

  /** A stream for the header, one for every 100 pages or fewer, one for the footer; and the index of the offsets. */
  async multistream(put: PutFile, parts: readonly Part[]): Promise<PublishedFile[]> {
    const { wiki } = this.#options.model;
    const files: PublishedFile[] = [];
    for (const { number, range, segments } of parts) {
      const index: string[] = [];
      let offset = 0;
      const name = `pages-articles-multistream${number}.xml${range}.bz2`;
      const file = await put(name, async (write) => {
        const stream = async (blocks: readonly Bzip2Block[]): Promise<void> => {
          for (const part of bzip2Stream(blocks)) {
            await write(part);
            offset += part.length;
          }
        };
        await stream([this.#header]);
        for (const segment of segments.filter((s) => s.isContent)) {
          for (const page of segment.pages) index.push(`${offset}:${page.id}:${fullTitle(page, wiki)}\n`);
          await stream(segment.blocks);
        }
        await stream([this.#footer]);
        return undefined;
      });
      const text = Buffer.from(index.join(''));
      const blocks: Bzip2Block[] = [];
      for (let at = 0; at < text.length; at += 600_000)
        blocks.push(this.#options.bzip2.block(text.subarray(at, at + 600_000)));
      files.push(file);
      files.push(
        await put(`pages-articles-multistream-index${number}.txt${range}.bz2`, async (write) => {
          for (const part of bzip2Stream(blocks)) await write(part);
          return undefined;
        }),
      );
    }
    return files;
  }

  /** Starts compressing what the history archives need, part by part in their order. */
  startArchives(parts: readonly Part[], sevenZip: string): Promise<Lzma2Run[][]> {
    const runs = Promise.all(parts.map((part) => this.#lzma2Runs(part, sevenZip)));
    // Awaited later; a failure in between must not count as unhandled.
    runs.catch(() => undefined);
    return runs;
  }

  async historyArchive(
    put: PutFile,
    parts: readonly Part[],
    archiveRuns: Promise<Lzma2Run[][]>,
  ): Promise<PublishedFile[]> {
    const { wiki, date } = this.#options.model;
    const runs = await archiveRuns;
    return this.#eachPart(parts, (part) => {
      const name = `pages-meta-history${part.number}.xml${part.range}`;
      const own = runs[parts.indexOf(part)] ?? [];
      return put(`${name}.7z`, (write) => writeSevenZip(`${wiki.dbname}-${date}-${name}`, own, write), 32);
    });
  }

  async #lzma2Runs(part: Part, sevenZip: string): Promise<Lzma2Run[]> {
    // Neighbouring own texts are joined first: one long text compresses better than many.
    const joined: (string | Lzma2Run)[] = [exportHeader(this.#options.model.wiki)];
    for (const piece of [...part.segments.flatMap((s) => s.historyPieces), exportFooter]) {
      const last = joined.at(-1);
      if (typeof piece !== 'string') {
        if (piece.lzma2 === null) throw new Error('the text pool was built without 7-Zip');
        joined.push(piece.lzma2);
      } else if (typeof last === 'string') joined[joined.length - 1] = last + piece;
      else joined.push(piece);
    }
    const isLong = (item: string | Lzma2Run): item is string =>
      typeof item === 'string' && (item.length >= sevenZipWorthwhileChars || joined.length === 1);
    const long = joined.filter(isLong).map((text) => Buffer.from(text));
    const compressed = await compressLzma2(sevenZip, long);
    return joined.map((item) => {
      if (isLong(item)) return compressed.shift() as Lzma2Run;
      return typeof item === 'string' ? storeLzma2(Buffer.from(item)) : item;
    });
  }

  #stream(blocks: readonly Bzip2Block[]): (write: PartWriter) => Promise<undefined> {
    return async (write) => {
      for (const part of bzip2Stream([this.#header, ...blocks, this.#footer])) await write(part);
      return undefined;
    };
  }

  async #eachPart(
    parts: readonly Part[],
    make: (part: Part) => Promise<PublishedFile>,
  ): Promise<PublishedFile[]> {
    const files: PublishedFile[] = [];
    for (const part of parts) files.push(await make(part));
    return files;
  }
}
