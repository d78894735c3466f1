import { resolve } from 'node:path';
import {
  type Config,
  DEFAULT_PATHS,
  formatProblem,
  loadConfig,
  type SecretOrigins,
  type Secrets,
} from '../config/index.ts';
import { type Db, isCurrent, openDb } from '../db/index.ts';
import { UsageError } from '../lib/index.ts';
import { createLayout } from '../storage/index.ts';
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
  const result = loadConfig({ path: path ?? null, env: io.env, readTextFile: io.readTextFile });
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
 * Opens the database for looking, beside a running daemon or without one.
 * @throws UsageError when there is none yet, or its schema is another version's
 */
export function openForReading(dataDir: string): Db {
  const { database } = createLayout(dataDir);
  let db: Db;
  try {
    db = openDb(database, 'readonly');
  } catch (error) {
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
