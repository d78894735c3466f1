import { z } from 'zod';
import type { Catalog, Torrent } from '../../catalog/index.ts';
import { minutes, PermanentError, TorrentId } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import type { Layout } from '../../storage/index.ts';
import type { TorrentEngine } from '../engine.ts';
import type { SeedSpec } from '../protocol.ts';
import type { WatchFolder } from '../watch-folder.ts';

const Input = z.object({ torrentId: TorrentId });

const Output = z.object({
  infoHash: z.string(),
  /** Where peers reach us; null when nothing is seeded. */
  peersPort: z.number().int().nullable(),
  isSeeding: z.boolean(),
  /** Why it is not seeding, or not yet; null when it is. */
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
  seeder: TorrentEngine | null;
  /** Without an engine, another client may find the torrent there. */
  watch?: WatchFolder | null;
  /** True once for a torrent whose files were made again. */
  takeRemade?: (infoHash: string) => boolean;
  onServed?: () => void;
}): JobHandler<StartSeedingInput, StartSeedingOutput> {
  const { catalog, layout, seeder, watch = null, takeRemade = () => false, onServed = () => {} } = deps;
  return handleJob(startSeeding, {
    async run({ torrentId }, context) {
      const torrent = catalog.torrent(torrentId);
      if (torrent === null) throw new PermanentError('torrent_unknown', `there is no torrent ${torrentId}`);
      const { infoHash } = torrent;
      if (torrent.retiredAt !== null)
        return {
          ...{ infoHash, peersPort: null, isSeeding: false },
          note: 'it is retired: files of it were deleted to make room',
        };
      if (seeder === null) {
        context.log.info({ infohash: infoHash }, 'seeding is off; nothing to start');
        await watch?.put(seedSpec(torrent, layout));
        return {
          infoHash,
          peersPort: null,
          isSeeding: false,
          note:
            watch === null
              ? 'seeding is switched off in the configuration'
              : 'seeding is switched off in the configuration; its .torrent lies in the watch folder',
        };
      }
      if (takeRemade(infoHash)) await seeder.remove(infoHash);
      step('seeding:adding');
      await seeder.add(seedSpec(torrent, layout), context.signal);
      step('seeding:added');
      const isSeeding = true;
      return { infoHash, peersPort: seeder.port(), isSeeding, note: await noteOf(seeder, infoHash) };
    },
    record({ torrentId }, output) {
      if (!output.isSeeding) return;
      catalog.markSeeding(torrentId);
      onServed();
    },
  });
}

/** A program beside us may read every byte first; that takes longer than a job. */
async function noteOf(seeder: TorrentEngine, infoHash: string): Promise<string | null> {
  if (seeder.name === 'webtorrent') return null;
  const activity = (await seeder.snapshot()).find((each) => each.infoHash === infoHash);
  return activity?.state === 'checking' ? `${seeder.name} reads its files, and seeds it afterwards` : null;
}

/** Where the files of a recorded torrent lie. */
export function seedSpec(torrent: Torrent, layout: Layout): SeedSpec {
  return {
    infoHash: torrent.infoHash,
    torrentFile: layout.absolute(torrent.torrentFilePath),
    contentRoot: layout.absolute(torrent.contentPath),
  };
}
