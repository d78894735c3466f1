import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContentExportKind, contentRoot } from '../content-export.ts';
import { dateFolders } from '../folder-times.ts';
import type { IndexDocument } from '../index-document.ts';
import { readTreeMarker, writeTreeMarker } from '../tree-marker.ts';
import { beginContent, type ContentScript, createContentScript } from './content-script.ts';
import { createMatrixScript, type MatrixScript } from './matrix-script.ts';
import { copyWhole } from './renew-file.ts';
import { createRunScript, type JobChange, type RunScript, renewState } from './run-script.ts';
import { findBytes, HELD_FOLDER, type RunState, readRunState, writeRunState } from './run-state.ts';
import { statusDocumentOf, writeRunView } from './run-view.ts';
import { createStage } from './stage.ts';

/** A run that begins. */
export interface NewRun {
  dbname: string;
  /** `YYYYMMDD`. */
  date: string;
  /** Whose jobs and files it takes over, renewed and under its own names; default the wiki's newest run. */
  like?: { dbname?: string; date?: string };
  /** How the files of the waiting jobs stand; default `{}` each, `absent` for no key `files` at all. */
  files?: JobChange['files'];
}

/**
 * Upstream's side of the story: what happens there, step by step. A change shows at the site when its promise resolves, in
 * every document it concerns. It is written into the dump tree and outlasts a restart, except edits and what concerns the
 * index alone. Changes bear the time of the site's `now`.
 */
export interface UpstreamScript {
  /** A run that is there: `await sandbox.upstream.run('enwiki', '20260101').setJob('articlesdump', 'failed')`. */
  run(dbname: string, date: string): RunScript;
  /**
   * A new run: its jobs wait, `index.json` shows it at once, and the wiki's older runs go on.
   * `const next = await upstream.beginRun({ dbname: 'enwiki', date: '20260201' }); await next.finish();`
   */
  beginRun(run: NewRun): Promise<RunScript>;
  /** A content export that is there; `date` is `YYYY-MM-DD`. */
  content(kind: ContentExportKind, dbname: string, date: string): ContentScript;
  /** A new export, made of the wiki's newest one: folders without any file until `show`. */
  beginContent(kind: ContentExportKind, dbname: string, date: string): Promise<ContentScript>;
  /** All runs and content exports of a wiki vanish, and its folders with them. The site matrix stays as it is. */
  removeWiki(dbname: string): Promise<void>;
  readonly siteMatrix: MatrixScript;
  readonly index: {
    /** `index.json` stays as it is now, whatever happens: upstream's documents disagree for a while. */
    hold(): Promise<void>;
    /** It follows again. */
    follow(): void;
    /** Shows a wiki as `{}` or not at all; `null` takes it back. */
    entry(dbname: string, shown: 'empty' | 'absent' | null): void;
  };
}

/** Makes the script of one site. */
export function createUpstreamScript(options: {
  root: string;
  now: () => number;
  index: IndexDocument;
}): UpstreamScript {
  const { root, index } = options;
  const stage = createStage(options);
  const upstream: UpstreamScript = {
    run: (dbname, date) => createRunScript(stage, dbname, date),
    beginRun: ({ dbname, date, like = {}, files }) =>
      stage.exclusive(async () => {
        const template = like.dbname ?? dbname;
        const from = like.date ?? (await dateFolders(join(root, template))).at(-1);
        if (from === undefined) throw new RangeError(`${template} has no run to be like`);
        await noteWiki(root, dbname);
        const state = await copyRun(root, { from: await readRunState(root, template, from), dbname, date });
        for (const job of state.jobs) job.hasFiles = files !== 'absent';
        await writeRunState(root, state);
        await writeRunView(root, state, statusDocumentOf(state), stage.now());
        await stage.stampFolder(join(root, dbname));
        return createRunScript(stage, dbname, date);
      }),
    content: (kind, dbname, date) => createContentScript(stage, kind, dbname, date),
    beginContent: (kind, dbname, date) =>
      stage.exclusive(async () => {
        const like = (await dateFolders(join(contentRoot(root, kind), dbname))).at(-1);
        if (like === undefined) throw new RangeError(`${dbname} has no ${kind} export to be like`);
        await beginContent(stage, { kind, dbname, date }, like);
        return createContentScript(stage, kind, dbname, date);
      }),
    removeWiki: (dbname) =>
      stage.exclusive(async () => {
        if (!(await readdir(root)).includes(dbname))
          throw new RangeError(`the sandbox has no wiki ${dbname}`);
        for (const folder of [root, contentRoot(root, 'current'), contentRoot(root, 'history')])
          await rm(join(folder, dbname), { recursive: true, force: true });
        for (const kind of ['current', 'history'] as const) await stage.stampFolder(contentRoot(root, kind));
      }),
    siteMatrix: createMatrixScript(stage),
    index: {
      hold: () => index.hold(),
      follow: () => index.follow(),
      entry: (dbname, shown) => index.setEntry(dbname, shown),
    },
  };
  return upstream;
}

/** A wiki that is added to a tree belongs to it, and goes when the tree is made anew. */
async function noteWiki(root: string, dbname: string): Promise<void> {
  const marker = await readTreeMarker(root);
  if (marker === null || marker.dbnames.includes(dbname)) return;
  await writeTreeMarker(root, { ...marker, dbnames: [...marker.dbnames, dbname] });
}

/** Everything of a run under a new date, waiting: its bytes are ready, but out of sight. */
async function copyRun(
  root: string,
  { from, dbname, date }: { from: RunState; dbname: string; date: string },
): Promise<RunState> {
  const held = join(root, dbname, date, HELD_FOLDER);
  await mkdir(held, { recursive: true });
  const state: RunState = { dbname, date, jobs: structuredClone(from.jobs) };
  const oldPrefix = `${from.dbname}-${from.date}-`;
  for (const job of state.jobs) {
    Object.assign(job, { status: 'waiting', updated: '' });
    for (const file of job.files) {
      const next = file.name.replace(oldPrefix, `${dbname}-${date}-`);
      const bytes = await findBytes(root, from, file.name);
      if (bytes !== null) {
        await copyWhole(bytes, join(held, next));
        file.name = next;
      }
      await renewState(root, state, file, { next });
      Object.assign(file, { view: 'blank', hiddenInStatus: [], hiddenInSums: [] });
    }
  }
  return state;
}
