import type { Bus, EventMap, EventName } from '../events/index.ts';
import { formatBytes, formatRate } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';

/** Pages that may listen at once; each costs a socket and a little memory. */
export const MAX_CLIENTS = 50;
/** At most 4 messages a second for each client. */
const SEND_EVERY_MS = 250;
/** A comment this often keeps proxies from closing a quiet connection. */
const HEARTBEAT_MS = 20_000;
/** Bytes a client may be behind before it is skipped; what it missed is merged into its next message. */
const MAX_BEHIND_BYTES = 64 * 1024;

/** After these the page looks different in more than numbers. */
const CHANGES: readonly EventName[] = [
  'job:enqueued',
  'job:started',
  'job:completed',
  'job:attemptFailed',
  'job:givenBack',
  'target:halted',
  'target:resumed',
  'dumpFile:downloaded',
  'cycle:opened',
  'cycle:sealed',
  'job:stuck',
  'alert:raised',
  'alert:resolved',
];

/** Server-sent events made from the bus. */
export interface LiveFeed {
  /** A stream for one client; null when too many are listening. */
  open(): ReadableStream<Uint8Array> | null;
  clientCount(): number;
  /** Something changed that has no event: what an operator did. */
  changed(): void;
  /** Ends all streams and leaves the bus. */
  close(): void;
}

interface Client {
  controller: ReadableStreamDefaultController<Uint8Array>;
  /** What it has not been told yet, by job: only the newest state of each counts. */
  progress: Map<number, EventMap['job:progress']>;
  changes: Set<EventName | 'operator:acted'>;
  isTimerSet: boolean;
}

/** Starts to listen on the bus. */
export function createLiveFeed({ bus, clock }: { bus: Bus; clock: Clock }): LiveFeed {
  const clients = new Set<Client>();
  const encoder = new TextEncoder();
  let stopHeartbeat = (): void => {};

  const leave = [
    bus.on('job:progress', (event) => {
      for (const client of clients) {
        client.progress.set(event.jobId, event);
        schedule(client);
      }
    }),
    ...CHANGES.map((name) =>
      bus.on(name, () => {
        for (const client of clients) {
          client.changes.add(name);
          schedule(client);
        }
      }),
    ),
  ];

  function schedule(client: Client): void {
    if (client.isTimerSet) return;
    client.isTimerSet = true;
    clock.after(SEND_EVERY_MS, () => {
      client.isTimerSet = false;
      flush(client);
    });
  }

  function flush(client: Client): void {
    if (!clients.has(client)) return;
    // desiredSize sinks while the client does not read. Then wait; the maps merge what comes meanwhile and stay small.
    if ((client.controller.desiredSize ?? 0) <= 0) {
      schedule(client);
      return;
    }
    const parts: string[] = [];
    if (client.progress.size > 0)
      parts.push(message('progress', { jobs: [...client.progress.values()].map(progressFacts) }));
    if (client.changes.size > 0) parts.push(message('changed', { events: [...client.changes].sort() }));
    client.progress.clear();
    client.changes.clear();
    send(client, parts.join(''));
  }

  function send(client: Client, text: string): void {
    try {
      client.controller.enqueue(encoder.encode(text));
    } catch {
      // The stream was closed under us: the client is gone, and nothing is lost, because the page reads the tables.
      clients.delete(client);
    }
  }

  function beat(): void {
    stopHeartbeat = clock.after(HEARTBEAT_MS, () => {
      for (const client of clients)
        if ((client.controller.desiredSize ?? 0) > 0) send(client, ': still here\n\n');
      beat();
    });
  }
  beat();

  return {
    clientCount: () => clients.size,
    changed() {
      for (const client of clients) {
        client.changes.add('operator:acted');
        schedule(client);
      }
    },
    open() {
      if (clients.size >= MAX_CLIENTS) return null;
      let self: Client;
      return new ReadableStream<Uint8Array>(
        {
          start(controller) {
            self = { controller, progress: new Map(), changes: new Set(), isTimerSet: false };
            clients.add(self);
            send(self, 'retry: 5000\n\n: connected\n\n');
          },
          cancel: () => void clients.delete(self),
        },
        new ByteLengthQueuingStrategy({ highWaterMark: MAX_BEHIND_BYTES }),
      );
    },
    close() {
      stopHeartbeat();
      for (const off of leave) off();
      for (const client of clients) {
        try {
          client.controller.close();
        } catch {
          // Already closed by the other side.
        }
      }
      clients.clear();
    },
  };
}

/** JSON never contains a raw line end, so one `data:` line is enough. */
function message(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Numbers for programs, and the same words as the server-rendered page for the script. */
function progressFacts(event: EventMap['job:progress']): object {
  const { jobId, jobType, doneBytes, totalBytes, bytesPerSecond, label } = event;
  return {
    jobId,
    jobType,
    doneBytes,
    totalBytes,
    bytesPerSecond,
    label,
    bytesText: bytesText(event),
    rateText: bytesPerSecond === null ? '' : formatRate(bytesPerSecond),
  };
}

/** `1.2 GB of 3.4 GB`, or only what is known; empty when nothing is. */
export function bytesText(progress: { doneBytes: number | null; totalBytes: number | null }): string {
  if (progress.doneBytes === null)
    return progress.totalBytes === null ? '' : formatBytes(progress.totalBytes);
  if (progress.totalBytes === null) return formatBytes(progress.doneBytes);
  return `${formatBytes(progress.doneBytes)} of ${formatBytes(progress.totalBytes)}`;
}
