import { z } from 'zod';
import type { Catalog, Torrent } from '../../catalog/index.ts';
import { minutes, PermanentError, TorrentId } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import type { Layout } from '../../storage/index.ts';
import type { SeedSpec } from '../protocol.ts';
import type { Seeder } from '../seeder.ts';

const Input = z.object({ torrentId: TorrentId });

const Output = z.object({
  infoHash: z.string(),
  /** Where peers reach us; null when nothing is seeded. */
  peersPort: z.number().int().nullable(),
  isSeeding: z.boolean(),
  /** Why it is not seeding; null when it is. */
  note: z.string().nullable(),
});

/** The torrent to be served. */
export type StartSeedingInput = z.infer<typeof Input>;
/** Whether it is served, and why not. */
export type StartSeedingOutput = z.infer<typeof Output>;

/** Gives a torrent to the swarm; done when its files were looked at and the port listens. Trackers may answer later. */
export const startSeeding = defineJob<StartSeedingInput, StartSeedingOutput>({
  type: 'start_seeding',
  input: Input,
  output: Output,
  uniqueKey: (input) => String(input.torrentId),
  timeoutMs: minutes(30),
});

/** The behaviour of `start_seeding`; with a null seeder it completes and says that seeding is off. */
export function startSeedingHandler(deps: {
  catalog: Pick<Catalog, 'torrent' | 'markSeeding'>;
  layout: Layout;
  seeder: Seeder | null;
}): JobHandler<StartSeedingInput, StartSeedingOutput> {
  const { catalog, layout, seeder } = deps;
  return handleJob(startSeeding, {
    async run({ torrentId }, context) {
      const torrent = catalog.torrent(torrentId);
      if (torrent === null) throw new PermanentError('torrent_unknown', `there is no torrent ${torrentId}`);
      const { infoHash } = torrent;
      if (seeder === null) {
        context.log.info({ infohash: infoHash }, 'seeding is off; nothing to start');
        return {
          infoHash,
          peersPort: null,
          isSeeding: false,
          note: 'seeding is switched off in the configuration',
        };
      }
      if (torrent.retiredAt !== null)
        return {
          ...{ infoHash, peersPort: null, isSeeding: false },
          note: 'it is retired: files of it were deleted to make room',
        };
      step('seeding:adding');
      await seeder.add(seedSpec(torrent, layout), context.signal);
      step('seeding:added');
      return { infoHash, peersPort: seeder.port(), isSeeding: true, note: null };
    },
    record({ torrentId }, output) {
      if (output.isSeeding) catalog.markSeeding(torrentId);
    },
  });
}

/** Where the files of a recorded torrent lie. */
export function seedSpec(torrent: Torrent, layout: Layout): SeedSpec {
  return {
    infoHash: torrent.infoHash,
    torrentFile: layout.absolute(torrent.torrentFilePath),
    contentRoot: layout.absolute(torrent.contentPath),
  };
}
