import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setInterval as ticks } from 'node:timers/promises';

/**
 * What several tests of one file share, and what has to be undone when the last of them has ended: programs, folders, servers.
 * (vitest undoes what belongs to one test; a program that serves twelve cells belongs to none of them.)
 */
export interface Lifetime {
  /** Undone in reverse order. */
  add(undo: () => unknown): void;
  folder(): string;
  /** Starts a program; it is killed by its id at the end, also after failures. */
  program(command: string, args: readonly string[], env?: Record<string, string>): Program;
  end(): Promise<void>;
}

/** A program that was started. */
export interface Program {
  child: ChildProcess;
  /** What it has printed so far, both streams. */
  output(): string;
  /** Its exit code, or null for a signal. */
  ended: Promise<number | null>;
}

export function createLifetime(): Lifetime {
  const undoings: (() => unknown)[] = [];
  const lifetime: Lifetime = {
    add: (undo) => void undoings.push(undo),
    folder() {
      const folder = mkdtempSync(join(tmpdir(), 'wikiseed-clients-'));
      lifetime.add(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
      return folder;
    },
    program(command, args, env = {}) {
      const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: 'pipe' });
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (chunk) => {
          output = (output + chunk).slice(-20_000);
        });
      // A program that ends while it is spoken to is told by `ended`.
      child.stdin?.on('error', () => {});
      const ended = new Promise<number | null>((resolve) => {
        child.on('error', (error) => {
          output += error.message;
          resolve(null);
        });
        child.on('close', (code) => resolve(code));
      });
      lifetime.add(async () => {
        if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
        const closed = once(child, 'close');
        child.kill('SIGKILL');
        await closed;
      });
      return { child, output: () => output, ended };
    },
    async end() {
      const failures: unknown[] = [];
      // One that fails leaves nothing else running.
      for (const undo of undoings.splice(0).reverse())
        try {
          await undo();
        } catch (error) {
          failures.push(error);
        }
      if (failures.length > 0) throw failures[0];
    },
  };
  return lifetime;
}

/**
 * Asks again and again until the answer is neither null nor false; a question that fails counts as null.
 * @throws Error that says what was waited for, and how it stood
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | null | false> | T | null | false,
  { timeoutMs = 40_000, told = () => '' }: { timeoutMs?: number; told?: () => string } = {},
): Promise<T> {
  const end = performance.now() + timeoutMs;
  let trouble = '';
  for await (const _ of ticks(50)) {
    try {
      const answer = await ask();
      if (answer !== null && answer !== false) return answer;
      trouble = '';
    } catch (error) {
      trouble = String(error);
    }
    if (performance.now() > end) break;
  }
  throw new Error(`${what} did not come about in ${timeoutMs} ms. ${trouble} ${told()}`);
}
