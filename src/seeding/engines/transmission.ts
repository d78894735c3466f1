import { z } from 'zod';
import { RetryableError } from '../../lib/index.ts';
import type { Http } from '../../ports/index.ts';
import { EngineDown, type EngineDriver, type EngineView, OUR_LABEL } from './driver.ts';
import type { EngineAccess } from './qbittorrent.ts';
import { createTransmissionRpc, TITLE } from './transmission-rpc.ts';

/** Beyond it the program reads the .torrent itself: its interface has broken over larger ones. */
const BY_MESSAGE_MAX_BYTES = 10 * 2 ** 20;
/** Its limits count in these. */
const KILOBYTE = 1000;
/** No limit of the program's own ends the seeding. */
const UNLIMITED = 2;
const LOCAL_ERROR = 3;

const Count = z.number().optional();
const Torrent = z.object({
  hash_string: z.string(),
  status: z.number().int(),
  error: z.number().int(),
  error_string: z.string(),
  have_valid: z.number(),
  have_unchecked: z.number(),
  total_size: z.number(),
  uploaded_ever: z.number(),
  rate_upload: z.number(),
  peers_connected: z.number().int(),
  download_dir: z.string(),
  tracker_stats: z.array(z.object({ seeder_count: Count, leecher_count: Count })),
  labels: z.array(z.string()).default([]),
});
const FIELDS = Object.keys(Torrent.shape);
const Torrents = z.object({ torrents: z.array(Torrent) });
const Files = z.object({
  torrents: z.array(
    z.object({
      files: z.array(z.object({ name: z.string(), length: z.number(), bytes_completed: z.number() })),
    }),
  ),
});
const Session = z.object({ peer_port: z.number().int() });

/** Speaks to Transmission 3.00 to 4.1, which reads every byte once before it serves a torrent. */
export function createTransmission(deps: {
  http: Http;
  access: EngineAccess;
  /** Larger .torrent files are not sent but named; 10 MiB by default. */
  byMessageMaxBytes?: number;
}): EngineDriver {
  const rpc = createTransmissionRpc(deps);
  const { access, byMessageMaxBytes = BY_MESSAGE_MAX_BYTES } = deps;

  /** @throws RetryableError `engine_rejects` */
  async function ask(method: string, params: Record<string, unknown>, signal: AbortSignal): Promise<unknown> {
    const answer = await rpc(method, params, signal);
    if ('result' in answer) return answer.result;
    throw new RetryableError('engine_rejects', `${TITLE} refuses ${method}: ${answer.refusal}`, {
      hint: 'Its log may say more.',
    });
  }

  async function read<T>(
    schema: z.ZodType<T>,
    method: string,
    params: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<T> {
    const parsed = schema.safeParse(await ask(method, params, signal));
    if (parsed.success) return parsed.data;
    throw new EngineDown(TITLE, new URL(access.url).host, 'it answers in a form that is not known here');
  }

  const act = async (method: string, infoHash: string, signal: AbortSignal): Promise<void> => {
    await ask(method, { ids: [infoHash] }, signal);
  };

  return {
    name: 'transmission',
    title: TITLE,
    readsWhatIsAdded: true,

    async look(infoHashes, signal) {
      if (infoHashes.length === 0) return new Map();
      const params = { ids: infoHashes, fields: FIELDS };
      const { torrents } = await read(Torrents, 'torrent_get', params, signal);
      return new Map(torrents.map(viewOf).map((view) => [view.infoHash, view]));
    },

    async addStopped({ bytes, torrentFile, savePath }, signal) {
      const what =
        bytes.length > byMessageMaxBytes ? { filename: torrentFile } : { metainfo: bytes.toString('base64') };
      await ask('torrent_add', { ...what, download_dir: savePath, paused: true }, signal);
    },

    async wantNothing({ infoHash }, signal) {
      // An empty list means all of them.
      await ask('torrent_set', { ids: [infoHash], files_unwanted: [] }, signal);
    },

    async setUp({ infoHash, labels }, signal) {
      const limit = access.uploadLimitBytesPerSecond;
      const params = {
        ids: [infoHash],
        ...{ seed_ratio_mode: UNLIMITED, seed_idle_mode: UNLIMITED },
        ...(limit === null
          ? { upload_limited: false }
          : { upload_limited: true, upload_limit: Math.max(1, Math.round(limit / KILOBYTE)) }),
        // Those of the operator stay.
        ...(labels.includes(OUR_LABEL) ? {} : { labels: [...labels, OUR_LABEL] }),
      };
      await ask('torrent_set', params, signal);
    },

    start: (infoHash, signal) => act('torrent_start', infoHash, signal),
    stop: (infoHash, signal) => act('torrent_stop', infoHash, signal),

    async remove(infoHash, signal) {
      await ask('torrent_remove', { ids: [infoHash], delete_local_data: false }, signal);
    },

    readAgain: (infoHash, signal) => act('torrent_verify', infoHash, signal),
    beginAgain: ({ infoHash }, signal) => act('torrent_verify', infoHash, signal),

    async wrongFiles(infoHash, signal) {
      const { torrents } = await read(Files, 'torrent_get', { ids: [infoHash], fields: ['files'] }, signal);
      const files = torrents[0]?.files ?? [];
      return files.filter((file) => file.bytes_completed < file.length).map(({ name }) => name);
    },

    async peersPort(signal) {
      const { peer_port } = await read(Session, 'session_get', {}, signal);
      return peer_port > 0 ? peer_port : null;
    },
  };
}

function viewOf(torrent: z.infer<typeof Torrent>): EngineView {
  const state = stateOf(torrent);
  const own = state === 'seeding' ? 1 : 0;
  const seeders = largest(torrent.tracker_stats.map((each) => each.seeder_count));
  return {
    infoHash: torrent.hash_string.toLowerCase(),
    state,
    // What it wants is nothing, so its own percentage says 100 whatever is there.
    isWhole: torrent.have_valid + torrent.have_unchecked >= torrent.total_size,
    savePath: torrent.download_dir.replace(/(?<=.)\/+$/, ''),
    peers: torrent.peers_connected,
    uploadedBytes: torrent.uploaded_ever,
    uploadBytesPerSecond: torrent.rate_upload,
    // Trackers count the program itself, too.
    seeders: seeders === null ? null : Math.max(0, seeders - own),
    leechers: largest(torrent.tracker_stats.map((each) => each.leecher_count)),
    labels: torrent.labels,
    // A tracker that does not answer heals by itself.
    message: torrent.error === LOCAL_ERROR ? torrent.error_string : null,
  };
}

function stateOf({ status, error }: z.infer<typeof Torrent>): EngineView['state'] {
  if (status === 1 || status === 2) return 'checking';
  if (status === 3 || status === 4) return 'downloading';
  if (error === LOCAL_ERROR) return 'failed';
  return status === 5 || status === 6 ? 'seeding' : 'stopped';
}

/** -1 means that a tracker did not say. */
function largest(counts: readonly (number | undefined)[]): number | null {
  const known = counts.filter((count) => count !== undefined && count >= 0) as number[];
  return known.length === 0 ? null : Math.max(...known);
}
