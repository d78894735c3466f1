import { createHash } from 'node:crypto';
import { z } from 'zod';
import { RetryableError } from '../../lib/index.ts';
import type { Http } from '../../ports/index.ts';
import { callEngine, type EngineAnswer, parseAnswer } from './calls.ts';
import {
  EngineDown,
  type EngineDriver,
  EngineRefusal,
  type EngineTorrent,
  type EngineView,
  OUR_LABEL,
} from './driver.ts';

/** Where the program is, and how we come in. */
export interface EngineAccess {
  /** Without what its interface adds: `http://127.0.0.1:8080`. */
  url: string;
  /** null = it lets us in without. */
  username: string | null;
  password: string | null;
  /** For each torrent; null = none of ours. */
  uploadLimitBytesPerSecond: number | null;
}

const TITLE = 'qBittorrent';
/** Addresses have a limit; a hash takes 41 characters. */
const HASHES_AT_ONCE = 100;

const Info = z.object({
  hash: z.string(),
  state: z.string(),
  amount_left: z.number(),
  progress: z.number(),
  save_path: z.string(),
  uploaded: z.number(),
  upspeed: z.number(),
  num_seeds: z.number(),
  num_leechs: z.number(),
  num_complete: z.number(),
  num_incomplete: z.number(),
  tracker: z.string(),
  category: z.string().default(''),
  /** `a, b`. */
  tags: z.string().default(''),
});
const Files = z.array(
  z.object({ name: z.string(), size: z.number(), piece_range: z.tuple([z.number(), z.number()]) }),
);
/** Of each piece; it has those with `HERE`. */
const PieceStates = z.array(z.number());
const HERE = 2;
const Preferences = z.object({
  listen_port: z.number().int(),
  incomplete_files_ext: z.boolean(),
  enable_upload_suggestions: z.boolean(),
});
/**
 * Without it the program forgets, with the last byte it finds, that it is to want none: whoever lets it read a rotten file again
 * then lets it fetch and write, over the stored file. For other torrents it means a hint or two to peers.
 */
const REMEMBERS = { enable_upload_suggestions: true };

/**
 * Speaks to qBittorrent 4.5 and 5.x (WebUI API v2). It is never told to believe that files are right: it would then look at a piece
 * when a peer asks for it, want everything once one is wrong, and write over the stored file.
 */
export function createQbittorrent(deps: { http: Http; access: EngineAccess }): EngineDriver {
  const { http, access } = deps;
  const base = access.url.replace(/\/+$/, '');
  const origin = new URL(base).origin;
  /** It takes a key instead of a login since 5.2. */
  const key = access.password?.startsWith('qbt_') === true ? access.password : null;
  let cookie: string | null = null;

  function send(path: string, options: Sent, signal: AbortSignal): Promise<EngineAnswer> {
    const { form, multipart } = options;
    const body = multipart?.body ?? (form === undefined ? undefined : new URLSearchParams(form).toString());
    return callEngine(http, TITLE, {
      url: `${base}/api/v2/${path}`,
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        // Without them it takes us for a page that was lured here.
        ...{ referer: base, origin },
        ...(body === undefined
          ? {}
          : { 'content-type': multipart?.type ?? 'application/x-www-form-urlencoded' }),
        ...(cookie === null ? {} : { cookie }),
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      },
      ...(body === undefined ? {} : { body }),
      signal,
    });
  }

  async function logIn(signal: AbortSignal): Promise<void> {
    const { username, password } = access;
    if (username === null || password === null)
      throw new EngineRefusal(
        `${TITLE} at ${origin} asks for a login`,
        'Set QBITTORRENT_USERNAME and QBITTORRENT_PASSWORD, or let this address in without a login (Web UI, authentication).',
      );
    const answer = await send('auth/login', { form: { username, password } }, signal);
    if (answer.status === 403)
      throw new EngineRefusal(
        `${TITLE} at ${origin} has banned this address after failed logins`,
        'Correct QBITTORRENT_USERNAME and QBITTORRENT_PASSWORD; the ban ends by itself after an hour, or with a restart of qBittorrent.',
      );
    const given = [answer.headers['set-cookie'] ?? []].flat().map((line) => line.split(';')[0] ?? '');
    // The name is another one where several of them run behind one address (5.x).
    const session = given.find((each) => /SID/.test(each));
    if (answer.status >= 500) throw new EngineDown(TITLE, origin, `status ${answer.status}`);
    if (session === undefined && answer.status !== 204)
      throw new EngineRefusal(
        `${TITLE} at ${origin} refuses this user or password`,
        'Correct QBITTORRENT_USERNAME and QBITTORRENT_PASSWORD; five wrong logins ban an address for an hour.',
      );
    cookie = session ?? null;
  }

  /** Sends once more after a login when the session is gone. */
  async function ask(path: string, options: Sent, signal: AbortSignal): Promise<EngineAnswer> {
    let answer = await send(path, options, signal);
    if (answer.status === 403 || answer.status === 401) {
      if (key !== null)
        throw new EngineRefusal(
          `${TITLE} at ${origin} refuses the key`,
          'Correct QBITTORRENT_PASSWORD: it begins with qbt_ and was taken for a key of the Web API.',
        );
      cookie = null;
      await logIn(signal);
      answer = await send(path, options, signal);
      if (answer.status === 403 || answer.status === 401)
        throw new EngineRefusal(
          `${TITLE} at ${origin} refuses us although the login is right`,
          'Look into the Web UI options of qBittorrent: host header validation, and servers that may be a proxy.',
        );
    }
    if (answer.status >= 500) throw new EngineDown(TITLE, origin, `status ${answer.status}`);
    return answer;
  }

  const post = (path: string, form: Record<string, string>, signal: AbortSignal): Promise<EngineAnswer> =>
    ask(path, { form }, signal);

  /** 5.x has other words than 4.x, and answers 404 to the old ones. */
  async function postEither(
    words: readonly [string, string],
    infoHash: string,
    signal: AbortSignal,
  ): Promise<void> {
    for (const word of words)
      if ((await post(`torrents/${word}`, { hashes: infoHash }, signal)).status !== 404) return;
  }

  async function preferences(signal: AbortSignal): Promise<z.infer<typeof Preferences>> {
    const answer = await ask('app/preferences', {}, signal);
    const read = Preferences.safeParse(parseAnswer(TITLE, origin, answer));
    if (read.success) {
      if (!read.data.enable_upload_suggestions)
        await post('app/setPreferences', { json: JSON.stringify(REMEMBERS) }, signal);
      return read.data;
    }
    throw new EngineDown(TITLE, origin, 'it answers in a form that is not known here');
  }

  /** What it says of a single torrent. @throws RetryableError `engine_rejects` */
  function readAs<T>(schema: z.ZodType<T>, answer: EngineAnswer): T {
    const read = schema.safeParse(parseAnswer(TITLE, origin, answer));
    if (read.success) return read.data;
    throw new RetryableError('engine_rejects', `${TITLE} answers in a form that is not known here`);
  }

  async function add(torrent: EngineTorrent, signal: AbortSignal): Promise<void> {
    if ((await preferences(signal)).incomplete_files_ext)
      throw new EngineRefusal(
        `${TITLE} would rename stored files that it finds wrong`,
        'Switch off "Append .!qB extension to incomplete files" in the options of qBittorrent (Downloads).',
      );
    const multipart = torrentForm(torrent, {
      savepath: torrent.savePath,
      contentLayout: 'Original',
      ...{ autoTMM: 'false', useDownloadPath: 'false' },
      ...{ category: OUR_LABEL, tags: OUR_LABEL },
      // Both words: 4.x knows the first, 5.x the second.
      ...{ paused: 'true', stopped: 'true' },
      ...{ ratioLimit: '-1', seedingTimeLimit: '-1', inactiveSeedingTimeLimit: '-1' },
    });
    const { status, text } = await ask('torrents/add', { multipart }, signal);
    // "Fails." says that it has it already, or will not have it: who asks looks.
    if (status === 200 || status === 202 || status === 409) return;
    throw new RetryableError(
      'engine_rejects',
      `${TITLE} does not take the torrent: ${status} ${text.slice(0, 200)}`,
      {
        hint: 'Its log says why.',
      },
    );
  }

  async function remove(infoHash: string, signal: AbortSignal): Promise<void> {
    await post('torrents/delete', { hashes: infoHash, deleteFiles: 'false' }, signal);
  }

  return {
    name: 'qbittorrent',
    title: TITLE,
    readsWhatIsAdded: false,
    addStopped: add,
    remove,

    async look(infoHashes, signal) {
      const found = new Map<string, EngineView>();
      for (let at = 0; at < infoHashes.length; at += HASHES_AT_ONCE) {
        const path = `torrents/info?hashes=${infoHashes.slice(at, at + HASHES_AT_ONCE).join('%7C')}`;
        const answer = await ask(path, {}, signal);
        const list = z.array(Info).safeParse(parseAnswer(TITLE, origin, answer));
        if (!list.success) throw new EngineDown(TITLE, origin, 'it answers in a form that is not known here');
        for (const info of list.data) found.set(info.hash.toLowerCase(), viewOf(info));
      }
      return found;
    },

    async wantNothing({ infoHash, fileCount }, signal) {
      const id = Array.from({ length: fileCount }, (_, index) => index).join('|');
      const { status } = await post('torrents/filePrio', { hash: infoHash, id, priority: '0' }, signal);
      // Not started before it has heard that.
      if (status !== 200)
        throw new RetryableError('engine_rejects', `${TITLE} does not give up its wishes: ${status}`, {
          hint: 'It is told again at the next look.',
        });
    },

    async setUp({ infoHash: hashes, labels }, signal) {
      // Of its category nothing is said: it may move the files of a torrent that follows it.
      if (!labels.includes(OUR_LABEL)) await post('torrents/addTags', { hashes, tags: OUR_LABEL }, signal);
      // 0 = none.
      const limit = String(access.uploadLimitBytesPerSecond ?? 0);
      await post('torrents/setUploadLimit', { hashes, limit }, signal);
    },

    start: (infoHash, signal) => postEither(['start', 'resume'], infoHash, signal),
    stop: (infoHash, signal) => postEither(['stop', 'pause'], infoHash, signal),

    async readAgain(infoHash, signal) {
      await post('torrents/recheck', { hashes: infoHash }, signal);
    },

    async beginAgain(torrent, signal) {
      // What it wants is heard only before it has read everything.
      await remove(torrent.infoHash, signal);
      await add(torrent, signal);
    },

    async wrongFiles(infoHash, signal) {
      const [files, states] = [
        await ask(`torrents/files?hash=${infoHash}`, {}, signal),
        await ask(`torrents/pieceStates?hash=${infoHash}`, {}, signal),
      ];
      if (files.status !== 200 || states.status !== 200) return [];
      // What it says of the progress of each file is old while it is stopped.
      const pieces = readAs(PieceStates, states);
      return readAs(Files, files)
        .filter(
          ({ size, piece_range: [first, last] }) =>
            size > 0 && pieces.slice(first, last + 1).some((state) => state !== HERE),
        )
        .map(({ name }) => name);
    },

    async peersPort(signal) {
      const { listen_port: port } = await preferences(signal);
      return port > 0 ? port : null;
    },
  };
}

interface Sent {
  form?: Record<string, string>;
  multipart?: { type: string; body: Buffer };
}

/** RFC 7578; the boundary is such that it is in none of the parts. */
function torrentForm(
  { bytes, infoHash }: EngineTorrent,
  fields: Record<string, string>,
): { type: string; body: Buffer } {
  const boundary = `wikiseed-${createHash('sha256').update(bytes).digest('hex')}`;
  const parts = Object.entries(fields).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="torrents"; filename="${infoHash}.torrent"\r\nContent-Type: application/x-bittorrent\r\n\r\n`;
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    body: Buffer.concat([Buffer.from(parts.join('') + head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}

function viewOf(info: z.infer<typeof Info>): EngineView {
  const state = stateOf(info.state);
  // Without a tracker that answers it counts only peers that it met. Trackers count the program itself, too.
  const isCounted = info.tracker !== '';
  const own = state === 'seeding' ? 1 : 0;
  return {
    infoHash: info.hash.toLowerCase(),
    state,
    // Of what it wants, which is nothing until it has everything; then it counts everything.
    isWhole: info.amount_left === 0 && info.progress === 1,
    savePath: info.save_path.replace(/(?<=.)\/+$/, ''),
    peers: info.num_seeds + info.num_leechs,
    uploadedBytes: info.uploaded,
    uploadBytesPerSecond: info.upspeed,
    seeders: isCounted && info.num_complete >= 0 ? Math.max(0, info.num_complete - own) : null,
    leechers: isCounted && info.num_incomplete >= 0 ? info.num_incomplete : null,
    labels: [info.category, ...info.tags.split(',').map((tag) => tag.trim())].filter((label) => label !== ''),
    message:
      info.state === 'missingFiles'
        ? 'files are missing'
        : state === 'failed'
          ? `its state is ${info.state}`
          : null,
  };
}

/** `metaDL`, `forcedDL`, `stalledDL` and what may come: whatever fetches ends in DL. */
function stateOf(state: string): EngineView['state'] {
  if (/^(paused|stopped)/.test(state)) return 'stopped';
  if (/^(checking|moving|allocating)/.test(state)) return 'checking';
  if (/DL$|^downloading$/.test(state)) return 'downloading';
  if (/UP$|^uploading$/.test(state)) return 'seeding';
  return 'failed';
}
