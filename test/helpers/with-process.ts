import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { toFileForm } from '../../src/config/index.ts';
import type { sandboxConfig } from './with-app.ts';
import { temporaryFolder } from './with-db.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** A finished process. `code` is null when a signal ended it. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** `wikiseed …` in a process of its own; ended with the test at the latest. */
export interface RunningProcess {
  child: ChildProcess;
  ended: Promise<Ended>;
}

/** Starts the command line with nothing of our own environment but the PATH. */
export function startWikiseed(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): RunningProcess {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: options.cwd ?? temporaryFolder(),
    env: { PATH: process.env.PATH ?? '', NO_COLOR: '1', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  onTestFinished(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  });
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }));
  return { child, ended };
}

/** Writes a configuration as an operator would have it: a YAML file, secrets in the environment. */
export function writeConfig({ config, secrets }: ReturnType<typeof sandboxConfig>): {
  path: string;
  env: Record<string, string>;
} {
  const path = join(temporaryFolder(), 'config.yaml');
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
