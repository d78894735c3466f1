import { createSystemClock, type Log } from '../src/ports/index.ts';
import type { SeedSpec } from '../src/seeding/protocol.ts';
import { createSeeder } from '../src/seeding/seeder.ts';

/*
 * The embedded seeder in a process of its own, so that its processor time is nobody else's.
 */

/** What the process is started with, as JSON. */
export interface OursTask {
  host: string;
  spec: SeedSpec;
}

const { host, spec } = JSON.parse(process.argv[2] ?? '') as OursTask;
const write = (_fields: object, message: string): void => void process.stderr.write(`${message}\n`);
const quiet = (): void => {};
const log: Log = { debug: quiet, info: quiet, warn: write, error: write, child: () => log };
const seeder = createSeeder({
  settings: {
    ...{ port: 0, host, maxConnections: 50, dht: false, lsd: false, utPex: false },
    ...{ uploadLimitBytesPerSecond: null, userAgent: 'WikiSeed/bench' },
  },
  clock: createSystemClock(),
  log,
});
await seeder.start([spec]);
process.send?.({ port: seeder.port() });
process.on('message', () => void seeder.stop().then(() => process.exit(0)));
process.on('disconnect', () => process.exit(1));
