import { z } from 'zod';
import type { NoticeKind } from '../catalog/index.ts';
import { RetryableError } from '../lib/index.ts';
import { isSafeName } from '../storage/index.ts';
import type { ListingEntry } from './listing.ts';
import type { FileDecision, RunDecision, RunId, Selection } from './source.ts';

/** The two exports that exist. */
export type ContentKind = 'content_current' | 'content_history';

/** What each export is, in the words of the classic dumps. */
const DUMP_TYPE: Readonly<Record<ContentKind, string>> = {
  content_current: 'pages-meta-current',
  content_history: 'pages-meta-history',
};

/** Written last, and empty: without it nothing of an export is final. */
export const SUCCESS_NAME = '_SUCCESS';
/** Hashes of all files, as sha256sum writes them. */
export const SUMS_NAME = 'SHA256SUMS';

/** Our own description of an export, since upstream has none. The same state of upstream gives the same text. */
export const ContentExport = z.object({
  kind: z.literal('content-export'),
  /** Everything listed but the two files about the export. By name. */
  files: z.array(
    z.object({
      name: z.string(),
      size: z.number().int().nonnegative().safe().nullable(),
      modified: z.number().int().nullable(),
      sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .optional(),
    }),
  ),
  /** Names that have a hash, but are not listed. */
  missing: z.array(z.string()),
  /** Names that must not become a path. */
  refused: z.array(z.string()),
  isComplete: z.boolean(),
});
export type ContentExport = z.infer<typeof ContentExport>;

/** Lines of a SHA256SUMS: the hash of each name, null when two lines disagree; and names that must not become a path. */
export interface Sums {
  hashes: Map<string, string | null>;
  refused: string[];
}

/** Reads `<64 hex><two spaces, or space and star><name>` lines; anything else is ignored. */
export function parseSha256Sums(text: string): Sums {
  const hashes: Sums['hashes'] = new Map();
  const refused: string[] = [];
  for (const raw of text.split('\n')) {
    const match = /^([0-9a-fA-F]{64}) [ *](?:\.\/)?(\S{1,400})\s*$/.exec(raw);
    if (match === null) continue;
    const name = match[2] as string;
    const hash = (match[1] as string).toLowerCase();
    if (!isSafeName(name)) refused.push(name.slice(0, 120));
    else hashes.set(name, (hashes.get(name) ?? hash) === hash && hashes.get(name) !== null ? hash : null);
  }
  return { hashes, refused };
}

/**
 * Writes the description of an export.
 * @param sums null: not read, or not there
 */
export function describeExport(
  listing: { entries: readonly ListingEntry[]; refused: readonly string[] },
  sums: Sums | null,
): string {
  const listed = new Set(listing.entries.map((entry) => entry.name));
  const files = listing.entries.filter(
    (entry) => !entry.isDirectory && entry.name !== SUCCESS_NAME && entry.name !== SUMS_NAME,
  );
  const document: ContentExport = {
    kind: 'content-export',
    files: files
      .map(({ name, sizeBytes, modifiedAt }) => {
        const sha256 = sums?.hashes.get(name);
        return { name, size: sizeBytes, modified: modifiedAt, ...(sha256 == null ? {} : { sha256 }) };
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    missing: [...(sums?.hashes.keys() ?? [])].filter((name) => !listed.has(name)).sort(),
    refused: [...new Set([...listing.refused, ...(sums?.refused ?? [])])].sort(),
    isComplete: isComplete(listing.entries),
  };
  return JSON.stringify(document);
}

/** True when upstream says that nothing more will come. */
export function isComplete(entries: readonly ListingEntry[]): boolean {
  return entries.some((entry) => entry.name === SUCCESS_NAME && !entry.isDirectory);
}

/**
 * Judges a description: see `DumpSource.decide`. History comes as bz2 only, so `historyFormat` decides nothing here.
 * @param folder address of the folder, with its final slash
 * @throws RetryableError `torn_status`
 */
export function decideExport(
  document: string,
  { kind, folder, run }: { kind: ContentKind; folder: string; run: RunId },
  selection: Selection,
): RunDecision {
  const found = readDocument(document, run);
  const dumpType = DUMP_TYPE[kind];
  const unwanted = whyUnwanted(dumpType, selection);
  const isHistory = !selection.regularTypes.includes(dumpType);
  const seen = new Set<string>();
  const judge = (file: ContentExport['files'][number]): FileDecision => {
    const isOurs = isDataName(file.name, run);
    const facts = {
      filename: file.name,
      dumpType: isOurs ? dumpType : null,
      sizeBytes: file.size,
      url: isOurs ? `${folder}${file.name}` : null,
    };
    const not = (action: 'wait' | 'skip', reason: string): FileDecision => ({ ...facts, action, reason });
    if (!isOurs)
      return not('skip', `its name is not ${run.wikiDbName}-${run.runDate}-p<first>p<last>.xml.bz2`);
    if (seen.has(file.name)) return not('skip', 'it is listed twice');
    seen.add(file.name);
    if (unwanted !== null) return not('skip', unwanted);
    if (!found.isComplete) return not('wait', `the export is not complete yet (${SUCCESS_NAME} is missing)`);
    if (file.size === null) return not('wait', 'upstream does not tell its size');
    if (file.size === 0) return not('skip', 'it is empty upstream');
    return {
      ...facts,
      action: 'take',
      reason: `${dumpType} is configured`,
      file: {
        dumpType,
        filename: file.name,
        isHistory,
        sizeBytes: file.size,
        hashes: file.sha256 === undefined ? {} : { sha256: file.sha256 },
        wikimediaUrl: `${folder}${file.name}`,
        wikimediaStatus: 'done',
        wikimediaDate: file.modified,
      },
    };
  };
  const files = found.files.map(judge);
  const refused = found.refused.map((filename) => ({
    filename,
    reason: 'the name would leave its folder',
  }));
  for (const { filename, reason } of refused)
    files.push({ filename, dumpType: null, sizeBytes: null, url: null, reason, action: 'skip' });
  const lacking = unwanted === null && found.isComplete ? lacks(found, files) : [];
  return {
    files,
    notices: lacking.map((lack) => ({ dumpType, ...lack })),
    // An export that disagrees with its own sums may yet be put right.
    isFinished: found.isComplete && (unwanted !== null || isWhole(found, files)),
    // Nothing of an export fails; one that is made again is found by reading it anew (content-source.ts).
    mayChange: false,
    refused,
  };
}

function readDocument(document: string, run: RunId): ContentExport {
  try {
    return ContentExport.parse(JSON.parse(document));
  } catch (error) {
    const cause = error instanceof z.ZodError ? new Error(error.issues[0]?.message) : error;
    const name = `the description of ${run.wikiDbName}'s content export of ${run.runDate}`;
    throw new RetryableError('torn_status', `${name} cannot be read`, { cause });
  }
}

/** Exactly `<db>-<YYYY-MM-DD>-p<first>p<last>.xml.bz2` of this run. */
function isDataName(name: string, run: RunId): boolean {
  const prefix = `${run.wikiDbName}-${run.runDate}-`;
  return name.startsWith(prefix) && /^p\d{1,20}p\d{1,20}\.xml\.bz2$/.test(name.slice(prefix.length));
}

function whyUnwanted(dumpType: string, selection: Selection): string | null {
  if (selection.regularTypes.includes(dumpType)) return null;
  if (!selection.historyTypes.includes(dumpType)) return `${dumpType} is not configured`;
  return selection.includesHistory ? null : `${dumpType} is only taken in cycles with history`;
}

/** What a complete export does not give, one sentence each. */
function lacks(found: ContentExport, files: readonly FileDecision[]): { kind: NoticeKind; reason: string }[] {
  const ours = files.filter((file) => file.dumpType !== null);
  const taken = ours.flatMap((file) => (file.action === 'take' ? [file.file] : []));
  const unproved = taken.filter((file) => file.hashes.sha256 === undefined).map((file) => file.filename);
  const empty = ours.filter((file) => file.sizeBytes === 0).map((file) => file.filename);
  const unsized = ours.filter((file) => file.sizeBytes === null).map((file) => file.filename);
  const say = (kind: NoticeKind, names: readonly string[], what: string) =>
    names.length === 0 ? [] : [{ kind, reason: `${what}: ${some(names)}` }];
  return [
    ...(ours.length === 0
      ? [{ kind: 'lacking' as const, reason: 'the export is complete, but has no files' }]
      : []),
    ...say('waiting', unproved, `listed, but without one certain hash in ${SUMS_NAME}`),
    ...say('lacking', found.missing, `named in ${SUMS_NAME}, but not listed`),
    ...say('lacking', empty, 'empty upstream, not taken'),
    ...say('waiting', unsized, 'upstream does not tell the size'),
  ];
}

function isWhole(found: ContentExport, files: readonly FileDecision[]): boolean {
  return (
    found.missing.length === 0 &&
    files.every((file) =>
      file.action === 'take' ? file.file.hashes.sha256 !== undefined : file.dumpType === null,
    )
  );
}

/** The first three of a list, and how many more there are. */
function some(names: readonly string[]): string {
  const more = names.length - 3;
  return `${names.slice(0, 3).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
