import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  type Config,
  DEFAULT_PATHS,
  formatProblem,
  loadConfig,
  type SecretOrigins,
  type Secrets,
} from '../config/index.ts';
import { type Db, isCurrent, isDamage, openDb, schemaOf } from '../db/index.ts';
import { describeError, UsageError, WikiSeedError } from '../lib/index.ts';
import { createLayout } from '../storage/index.ts';
import { environmentFor } from './demo-files.ts';
import type { CliIo } from './io.ts';
import { counted } from './words.ts';

/** A usable configuration. */
export interface LoadedConfig {
  config: Config;
  secrets: Secrets;
  secretOrigins: SecretOrigins;
  sourcePath: string | null;
}

/**
 * Loads the configuration a command works with; warnings go to standard error.
 * @throws UsageError that lists every problem with key and line
 */
export function loadForCommand(io: CliIo, path: string | undefined): LoadedConfig {
  const env = environmentFor(io, path);
  const result = loadConfig({ path: path ?? null, env, readTextFile: io.readTextFile });
  if (!result.ok) {
    // Nothing is named and nothing lies about: one thing to do, not a list of what follows from it.
    if (result.sourcePath === null)
      throw new UsageError(
        `No configuration file was found (looked for ${DEFAULT_PATHS.join(' and ')})`,
        'Copy config.example.yaml to one of them and write wikiseed.contact: a mail address or page where you can be reached.',
      );
    const lines = result.problems.map((problem) => formatProblem(problem, result.sourcePath));
    const errors = result.problems.filter((problem) => problem.severity === 'error').length;
    throw new UsageError(`${counted(errors, 'problem')} in the configuration\n${lines.join('\n')}`);
  }
  const acting = actAsOwner(resolve(io.cwd, result.config.wikiseed.dataDir));
  if (acting !== null) io.err.write(`${acting}\n`);
  for (const warning of result.warnings) io.err.write(`${formatProblem(warning, result.sourcePath)}\n`);
  const dataDir = resolve(io.cwd, result.config.wikiseed.dataDir);
  return {
    config: { ...result.config, wikiseed: { ...result.config.wikiseed, dataDir } },
    secrets: result.secrets,
    secretOrigins: result.secretOrigins,
    sourcePath: result.sourcePath,
  };
}

/**
 * Run by root, a command acts as the user the data belongs to: files that root makes could not be read by the service, and a
 * lock that it may not write locks nothing.
 * @returns what to tell the operator, null when nothing changed
 */
export function actAsOwner(dataDir: string): string | null {
  if (process.getuid?.() !== 0) return null;
  const owned = [join(dataDir, 'db'), dataDir].find((path) => existsSync(path));
  if (owned === undefined) return null;
  const { uid, gid } = statSync(owned);
  if (uid === 0) return null;
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
  return `acting as user ${uid}, the owner of ${owned}`;
}

const MEND_HINT =
  '"wikiseed restore" puts the newest good backup in its place; without one, "wikiseed rebuild" makes it again from the data directory.';

/** The same for one that cannot be written or opened. */
export function explainTrouble(error: unknown): WikiSeedError {
  const what = describeError(error);
  const isRight = /readonly|unable to open/i.test(what);
  return new WikiSeedError('database_unwritable', `the database cannot be used: ${what}`, {
    hint: isRight
      ? 'Run the command as the user WikiSeed runs as, or give that user the data directory: chown -R <user> <data_dir>'
      : 'Free some space on the disk that holds it, or close the program that keeps it locked; nothing is lost.',
    cause: error,
  });
}

/** What a command says when it meets a damaged database. */
export function explainDamage(error: unknown): WikiSeedError {
  return new WikiSeedError('database_corrupt', `the database is damaged: ${describeError(error)}`, {
    hint: `Stop the daemon if it runs. ${MEND_HINT}`,
    cause: error,
  });
}

/**
 * Opens the database for looking, beside a running daemon or without one.
 * @throws UsageError when there is none yet, or its schema is another version's; WikiSeedError `database_missing`, `database_corrupt`
 */
export function openForReading(dataDir: string): Db {
  const { database, records, backups } = createLayout(dataDir);
  let db: Db;
  const isThere = existsSync(database);
  try {
    const wasThereBefore = [records, backups].some(
      (folder) => existsSync(folder) && readdirSync(folder).length > 0,
    );
    if (wasThereBefore && (schemaOf(database) ?? 0) === 0)
      throw new WikiSeedError(
        'database_missing',
        `the database ${database} is gone or empty, but there was one before`,
        {
          hint: MEND_HINT,
        },
      );
    db = openDb(database, 'readonly');
  } catch (error) {
    if (error instanceof WikiSeedError) throw error;
    if (isDamage(error)) throw explainDamage(error);
    if (!isThere)
      throw new UsageError(
        `nothing is known yet: there is no readable database at ${database}`,
        '"wikiseed run" begins, "wikiseed plan" tells what it would fetch. If it has run before, name its configuration with --config.',
      );
    throw new UsageError(
      `there is no readable database at ${database}`,
      `Start "wikiseed run" once, or name the right configuration with --config. (${(error as Error).message})`,
    );
  }
  if (!isCurrent(db)) {
    db.close();
    throw new UsageError(
      `the database ${database} has the schema of another version`,
      'Start "wikiseed run" once: it migrates.',
    );
  }
  return db;
}
