import { fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { threadScript } from '../lib/index.ts';
import { childEnvironment } from '../ports/index.ts';
import type { SeederMessage, SeederRequest, SeederSettings } from './protocol.ts';

/** Of what a process said before it ended, so much is kept. */
const LAST_WORDS_CHARACTERS = 4000;
const LAST_WORDS_LINES = 6;
/** Node's flags that are for memory; others (an inspector's port, modules to load first) are for one process only. */
const MEMORY_FLAG = /^--(?:max|min|heap|semi|initial|optimize|stack)-[\w-]+=/;

/** Where one life of the seeder's script takes place. */
export interface SeederPlace {
  readonly kind: 'thread' | 'process';
  /** Nothing happens when it is over. */
  post(request: SeederRequest): void;
  onMessage(listener: (message: SeederMessage) => void): void;
  /** Something that nobody caught; its end follows. */
  onError(listener: (error: Error) => void): void;
  /** It is over, and its port is free; once. `lastWords`: why, as far as the place knows; null = it does not. */
  onExit(listener: (lastWords: string | null) => void): void;
  /** Ends it, whatever it does. Resolves when it is over. */
  terminate(): Promise<void>;
}

/**
 * Runs the seeder's script: in a thread, or with uTP or WebRTC in a process of its own, because their native code does not bear
 * the end of its thread (decision 0024).
 */
export function openSeederPlace(settings: SeederSettings): SeederPlace {
  return settings.utp === true || settings.webrtc === true ? inProcess(settings) : inThread(settings);
}

function inThread(settings: SeederSettings): SeederPlace {
  const worker = new Worker(threadScript(import.meta.url, 'seeder'), { workerData: settings });
  return {
    kind: 'thread',
    post: (request) => worker.postMessage(request),
    onMessage: (listener) => void worker.on('message', listener),
    onError: (listener) =>
      void worker.on('error', (error) => listener(error instanceof Error ? error : new Error(String(error)))),
    onExit: (listener) => void worker.once('exit', () => listener(null)),
    terminate: async () => void (await worker.terminate()),
  };
}

function inProcess(settings: SeederSettings): SeederPlace {
  const script = fileURLToPath(threadScript(import.meta.url, 'seeder'));
  const child = fork(script, [JSON.stringify(settings)], {
    serialization: 'advanced',
    // It shares no file and no terminal with us: our log is written line by line by one process.
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: process.execArgv.filter((flag) => MEMORY_FLAG.test(flag)),
    env: childEnvironment(),
  });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-LAST_WORDS_CHARACTERS);
  });
  const over = Promise.withResolvers<string | null>();
  // Not `exit`: its last words are still on their way then.
  child.once('close', (code, signal) => over.resolve(lastWordsOf(words, code, signal)));
  const errors: ((error: Error) => void)[] = [];
  child.on('error', (error) => {
    for (const listener of errors) listener(error);
    // There was no process to be had.
    if (child.pid === undefined) over.resolve(null);
  });
  return {
    kind: 'process',
    // Whoever waits for an answer hears of its end, not of a closed channel.
    post: (request) => void child.send(request, () => {}),
    onMessage: (listener) => void child.on('message', (message) => listener(message as SeederMessage)),
    onError: (listener) => void errors.push(listener),
    onExit: (listener) => void over.promise.then(listener),
    async terminate() {
      child.kill('SIGKILL');
      // One that waits for a disk does not end even so; it must not keep the program from ending.
      for (const handle of [child, child.channel, child.stderr as Socket | null]) handle?.unref();
      await over.promise;
    },
  };
}

/** What Node or a library wrote at the end, without the list of calls. */
function lastWordsOf(words: string, code: number | null, signal: string | null): string {
  const lines = words.split('\n').filter((line) => line.trim() !== '' && !/^\s+at |^Node\.js v/.test(line));
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  return [how, ...lines.slice(-LAST_WORDS_LINES).map((line) => line.trim())].join(' | ');
}
