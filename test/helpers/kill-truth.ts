import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { sha256 } from './kill-end-state.ts';
import type { KillWorld } from './kill-world.ts';

/**
 * Looks at the database that a death left, and compares every claim in it with the disk and the outside: a fact may be
 * missing, none may be false. Works on a copy, so that the next start finds the files as they were left.
 * @returns one sentence for each false claim
 */
export async function untruthsOf(world: KillWorld): Promise<string[]> {
  const source = join(world.dataDir, 'db', 'jobs.db');
  if (!existsSync(source)) return [];
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-truth-'));
  try {
    const path = join(folder, 'jobs.db');
    for (const suffix of ['', '-wal'])
      if (existsSync(source + suffix)) copyFileSync(source + suffix, path + suffix);
    const database = new Database(path);
    try {
      return await findUntruths(world, database);
    } finally {
      database.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface HeldFile {
  filename: string;
  wiki: string;
  runDate: string;
  localPath: string;
  sha1: string;
  isArchived: number;
  item: string | null;
}

async function findUntruths(world: KillWorld, database: Database.Database): Promise<string[]> {
  const found: string[] = [];
  const integrity = database.pragma('integrity_check', { simple: true });
  if (integrity !== 'ok') found.push(`the database is not whole: ${String(integrity)}`);
  if ((database.pragma('foreign_key_check') as unknown[]).length > 0)
    found.push('a foreign key points nowhere');
  const isMigrated = database.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'torrents'`).get();
  // Killed before the first migration was committed: nothing is claimed.
  if (isMigrated === undefined) return found;

  const held = database
    .prepare<[], HeldFile>(
      `SELECT filename, wiki_db_name AS wiki, run_date AS runDate, local_path AS localPath, sha1,
              ia_verified_at IS NOT NULL AS isArchived, ia_identifier AS item
         FROM dumps WHERE our_status IN ('downloaded', 'uploading', 'uploaded', 'included')`,
    )
    .all();
  for (const file of held) {
    const path = join(world.dataDir, file.localPath);
    const origin = readFileSync(join(world.sandboxDir, 'dumps', file.wiki, file.runDate, file.filename));
    if (!existsSync(path)) found.push(`${file.filename} counts as held and is not there`);
    else if (sha1(readFileSync(path)) !== file.sha1 || sha1(origin) !== file.sha1)
      found.push(`${file.filename} counts as held and is not what Wikimedia has`);
    if (file.isArchived === 1 && archivedSha1(world, file) !== file.sha1)
      found.push(`${file.filename} counts as archived and the archive does not have it`);
  }
  const torrents = database
    .prepare<[], { name: string; hash: string; file: string }>(
      'SELECT name, info_hash AS hash, torrent_file_path AS file FROM torrents',
    )
    .all();
  for (const { name, file } of torrents)
    if (!existsSync(join(world.dataDir, file))) found.push(`the torrent ${name} is recorded and has no file`);
  const inTorrents = database
    .prepare<[], { name: string; path: string; localPath: string }>(
      `SELECT t.name AS name, f.path_in_torrent AS path, d.local_path AS localPath
         FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id JOIN dumps d ON d.id = f.dump_id`,
    )
    .all();
  for (const { name, path, localPath } of inTorrents) {
    const link = join(world.dataDir, 'torrents', name, path);
    if (!existsSync(link) || statSync(link).ino !== statSync(join(world.dataDir, localPath)).ino)
      found.push(`${path} is recorded in the torrent ${name} and is not linked there`);
  }
  const shares = database
    .prepare<[], { subject: string; platform: string; sha: string }>(
      `SELECT subject, platform, content_sha256 AS sha FROM shares WHERE status = 'active' AND subject <> 'manifest'`,
    )
    .all();
  for (const { subject, platform, sha } of shares) {
    const key = `torrents/${subject}.torrent`;
    const bytes = platform === 'local' ? localBytes(world, key) : await remoteBytes(world, key);
    if (bytes === null || sha256(bytes) !== sha)
      found.push(`${key} counts as published (${platform}) and is not`);
  }
  return found;
}

function localBytes(world: KillWorld, key: string): Uint8Array | null {
  const path = join(world.dataDir, 'publish', key);
  return existsSync(path) ? readFileSync(path) : null;
}

async function remoteBytes(world: KillWorld, key: string): Promise<Uint8Array | null> {
  const answer = await fetch(`${world.sandbox.r2.publicBaseUrl}/${key}`);
  return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : null;
}

/** As the archive has filed it; null when it has not. */
function archivedSha1(world: KillWorld, file: HeldFile): string | null {
  const path = join(world.sandboxDir, 'archive', 'items', file.item ?? '', 'item.json');
  if (!existsSync(path)) return null;
  const item = JSON.parse(readFileSync(path, 'utf8')) as {
    files: Record<string, { sha1: string; state: string }>;
  };
  const filed = item.files[`${file.wiki}/${file.runDate}/${file.filename}`];
  return filed?.state === 'visible' ? filed.sha1 : null;
}

function sha1(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex');
}
