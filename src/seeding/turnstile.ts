/** How many may be in at a time, and how many may wait. */
export interface TurnstileLimits {
  atOnce: number;
  /** Of all that are in; one is let in however large it is. */
  bytesAtOnce: number;
  waitingMax: number;
}

interface Waiting {
  bytes: number;
  enter: () => void;
  refuse: (error: Error) => void;
}

/**
 * Lets so many in at a time, and sends away who would wait too long. Whoever asks for much waits behind himself: askers have their
 * turn one after the other, and when too many wait, the last of the asker who has most goes.
 */
export class Turnstile {
  readonly #limits: TurnstileLimits;
  /** Whose turn is next comes first: a Map keeps the order of insertion. */
  readonly #queues = new Map<string, Waiting[]>();
  #waiting = 0;
  #running = 0;
  #bytes = 0;

  constructor(limits: TurnstileLimits) {
    this.#limits = limits;
  }

  /**
   * @param bytes of memory that the work takes
   * @param asker whoever it is done for
   * @throws Error when too many wait already; what `work` throws
   */
  async pass<T>(bytes: number, asker: string, work: () => Promise<T>): Promise<T> {
    if (this.#waiting === 0 && this.#fits(bytes)) this.#start(bytes);
    else await this.#wait(bytes, asker);
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#bytes -= bytes;
      this.#letIn();
    }
  }

  #fits(bytes: number): boolean {
    if (this.#running === 0) return true;
    return this.#running < this.#limits.atOnce && this.#bytes + bytes <= this.#limits.bytesAtOnce;
  }

  #start(bytes: number): void {
    this.#running += 1;
    this.#bytes += bytes;
  }

  #wait(bytes: number, asker: string): Promise<void> {
    if (this.#waiting >= this.#limits.waitingMax && !this.#makeRoom(asker)) throw tooMuch();
    return new Promise((enter, refuse) => {
      const queue = this.#queues.get(asker) ?? [];
      queue.push({ bytes, enter, refuse });
      this.#queues.set(asker, queue);
      this.#waiting += 1;
    });
  }

  /** False: nobody has more than the asker would have. */
  #makeRoom(asker: string): boolean {
    let longest: [string, Waiting[]] = ['', []];
    for (const each of this.#queues) if (each[1].length > longest[1].length) longest = each;
    const [greedy, queue] = longest;
    if ((this.#queues.get(asker)?.length ?? 0) + 1 >= queue.length) return false;
    queue.pop()?.refuse(tooMuch());
    if (queue.length === 0) this.#queues.delete(greedy);
    this.#waiting -= 1;
    return true;
  }

  #letIn(): void {
    for (;;) {
      const [first] = this.#queues;
      if (first === undefined) return;
      const [asker, queue] = first;
      // Nobody overtakes the one who needs more memory: else it would wait for ever.
      if (!this.#fits(queue[0]!.bytes)) return;
      const next = queue.shift()!;
      this.#queues.delete(asker);
      if (queue.length > 0) this.#queues.set(asker, queue);
      this.#waiting -= 1;
      this.#start(next.bytes);
      next.enter();
    }
  }
}

function tooMuch(): Error {
  return new Error('too much is asked for at once');
}
