import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { toFileForm } from '../../src/config/index.ts';
import type { sandboxConfig } from './with-app.ts';
import { temporaryFolder } from './with-db.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'main.js');

/** A finished process. `code` is null when a signal ended it. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** `wikiseed …` in a process of its own. */
export interface RunningProcess {
  child: ChildProcess;
  ended: Promise<Ended>;
}

/**
 * Starts the command line with nothing of our own environment but the PATH; whoever calls ends it.
 * @param options.preload a module that Node loads before the program
 * @param options.reportFd becomes descriptor 3 of the process
 */
export function spawnWikiseed(
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string>; preload?: string; reportFd?: number },
): RunningProcess {
  const nodeOptions = options.preload === undefined ? [] : ['--import', options.preload];
  const child = spawn(process.execPath, [...nodeOptions, MAIN, ...args], {
    cwd: options.cwd,
    env: { PATH: process.env.PATH ?? '', NO_COLOR: '1', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', options.reportFd ?? 'ignore'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }));
  return { child, ended };
}

/** The same in a folder of its own when none is named; ended with the test at the latest. */
export function startWikiseed(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): RunningProcess {
  const running = spawnWikiseed(args, { ...options, cwd: options.cwd ?? temporaryFolder() });
  const { child } = running;
  onTestFinished(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  });
  return running;
}

/** Writes a configuration as an operator would have it: a YAML file, secrets in the environment. */
export function writeConfig(
  { config, secrets }: ReturnType<typeof sandboxConfig>,
  folder: string = temporaryFolder(),
): {
  path: string;
  env: Record<string, string>;
} {
  const path = join(folder, 'config.yaml');
  writeFileSync(path, stringify(toFileForm(config)));
  return {
    path,
    env: {
      IA_ACCESS_KEY: secrets.iaAccessKey ?? '',
      IA_SECRET_KEY: secrets.iaSecretKey ?? '',
      R2_ACCESS_KEY_ID: secrets.r2AccessKeyId ?? '',
      R2_SECRET_ACCESS_KEY: secrets.r2SecretAccessKey ?? '',
    },
  };
}
