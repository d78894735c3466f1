import type { AbsentFile, HashedFile } from './payload-facts.ts';
import type { PublishedFile } from './read-manifest.ts';
import type { Values } from './row-writer.ts';

/** Of which cycle, and of its history torrent or not. `at` stands for times that nobody wrote down, epoch ms. */
export interface CycleContext {
  cycleDate: string;
  isHistory: boolean;
  at: number;
}

function common(context: CycleContext): Values {
  return {
    source: 'classic',
    cycle_date: context.cycleDate,
    is_history: context.isHistory ? 1 : 0,
    discovered_at: context.at,
  };
}

/** A held file of a torrent, from HASH.json and, for the archive's address, the manifest. */
export function heldRow(
  file: HashedFile,
  published: PublishedFile | undefined,
  context: CycleContext & { updatedAt: number | null },
): Values {
  const isArchived = published?.ia_url != null && context.updatedAt !== null;
  const source = file.source ?? sourceOf(file.upstreamUrl);
  return {
    ...common(context),
    source,
    project: file.project,
    language: file.language,
    wiki_db_name: file.wiki,
    run_date: file.runDate,
    dump_type: file.dumpType,
    filename: file.filename,
    size_bytes: file.sizeBytes,
    md5: file.md5,
    sha1: file.sha1,
    sha256: file.sha256,
    // What proved the bytes was equal to what they are.
    upstream_md5: file.verifiedBy === 'md5' ? file.md5 : null,
    upstream_sha1: file.verifiedBy === 'sha1' ? file.sha1 : null,
    upstream_sha256: file.verifiedBy === 'sha256-upstream' ? file.sha256 : null,
    verification: file.verifiedBy,
    wikimedia_url: published?.wikimedia_url ?? file.upstreamUrl,
    wikimedia_status: 'done',
    local_path: `dumps/${file.wiki}/${source === 'content_history' ? `${file.runDate}-history` : file.runDate}/${file.filename}`,
    our_status: 'included',
    downloaded_at: context.at,
    ...(isArchived
      ? {
          ia_url: published?.ia_url ?? null,
          ia_identifier: identifierOf(published?.ia_url ?? ''),
          uploaded_at: context.updatedAt,
          ia_verified_at: context.updatedAt,
        }
      : {}),
  };
}

/**
 * A file of which only the manifest knows. How it was proved is not written there, so it is pending: the daemon proves the
 * copy on disk against these hashes, and fetches only what is not there.
 * @returns null when the manifest does not say enough
 */
export function publishedRow(file: PublishedFile, context: CycleContext): Values | null {
  const run = /^([a-z0-9_]+)-(\d{8}|\d{4}-\d{2}-\d{2})-/.exec(file.filename);
  if (run === null || (file.sha1 === null && file.md5 === null)) return null;
  return {
    ...common(context),
    source: sourceOf(file.wikimedia_url),
    project: file.project,
    language: file.language,
    wiki_db_name: run[1] ?? '',
    run_date: run[2] ?? '',
    dump_type: file.dump_type,
    filename: file.filename,
    size_bytes: file.size_bytes,
    upstream_md5: file.md5,
    upstream_sha1: file.sha1,
    wikimedia_url: file.wikimedia_url,
    wikimedia_status: 'done',
    our_status: 'pending',
    downloaded_at: context.at,
  };
}

/** A file that the cycle expected and did not get. */
export function absentRow(
  file: AbsentFile,
  place: { project: string; language: string },
  context: CycleContext,
): Values {
  const isFailed = file.state === 'failed_upstream';
  const folder =
    file.source === 'classic'
      ? `${file.wiki}/${file.runDate}`
      : `other/mediawiki_${file.source}/${file.wiki}/${file.runDate}/xml/bzip2`;
  return {
    ...common(context),
    source: file.source,
    project: file.project ?? place.project,
    language: file.language ?? place.language,
    wiki_db_name: file.wiki,
    run_date: file.runDate,
    dump_type: file.dumpType,
    filename: file.filename,
    size_bytes: file.sizeBytes,
    wikimedia_url: `https://dumps.wikimedia.org/${folder}/${file.filename}`,
    wikimedia_status: isFailed ? 'failed' : 'done',
    our_status: isFailed ? 'failed' : file.state === 'quarantined' ? 'quarantined' : 'pending',
    error_message: file.reason,
  };
}

/** `https://archive.org/download/<identifier>/…` */
function identifierOf(iaUrl: string): string | null {
  return /\/download\/([^/]+)\//.exec(iaUrl)?.[1] ?? null;
}

/** Content exports lie below `other/mediawiki_<source>/`. */
function sourceOf(url: string): string {
  return /\/mediawiki_(content_current|content_history)\//.exec(url)?.[1] ?? 'classic';
}
