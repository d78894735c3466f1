import { createInterface } from 'node:readline';
import type { Client, Transfer, Wish } from './client.ts';
import { type Program, until } from './lifetime.ts';

/** How a transfer stands, as a program of ours around a library tells it. */
export interface LineStatus {
  isComplete: boolean;
  doneBytes: number;
  /** Bytes that came and were wrong; where the library tells. */
  failedBytes?: number;
  missingPieces?: number[];
}

/** Speaks with a program by one JSON object in a line: `{id, …}` there, `{id, answer}` or `{id, error}` back. */
export function createLines(program: Program) {
  const waiting = new Map<number, { resolve: (answer: never) => void; reject: (error: Error) => void }>();
  let lastId = 0;
  createInterface({ input: program.child.stdout! }).on('line', (line) => {
    if (!line.startsWith('{')) return;
    const { id, answer, error } = JSON.parse(line) as { id: number; answer: never; error?: string };
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(answer);
    else asked?.reject(new Error(error));
  });
  void program.ended.then(() => {
    for (const { reject } of waiting.values()) reject(new Error(`the program ended: ${program.output()}`));
  });
  return async function ask<T>(question: object): Promise<T> {
    lastId += 1;
    const id = lastId;
    return new Promise<T>((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      program.child.stdin?.write(`${JSON.stringify({ id, ...question })}\n`);
    });
  };
}

/** A transfer that tells more. */
export interface LineTransfer extends Transfer {
  status(): Promise<LineStatus>;
}

/** A client that is a library in a process of ours. */
export interface LineClient extends Client {
  get(wish: Wish): Promise<LineTransfer>;
}

/** The transfer of a library that is asked by lines. */
export function lineTransfer(name: string, ask: ReturnType<typeof createLines>, key: number): LineTransfer {
  const status = () => ask<LineStatus>({ verb: 'status', key });
  return {
    status,
    async finished(timeoutMs) {
      let last = '';
      await until(
        `${name} is complete`,
        async () => {
          const found = await status();
          last = JSON.stringify(found);
          return found.isComplete;
        },
        { timeoutMs, told: () => last },
      );
    },
    doneBytes: async () => (await status()).doneBytes,
    remove: async () => void (await ask({ verb: 'remove', key })),
  };
}
