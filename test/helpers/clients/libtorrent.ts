import type { Lifetime } from './lifetime.ts';
import { createLines, type LineClient, lineTransfer } from './lines.ts';

/** A session that is asked by lines; a torrent is done when its files are written, too. */
const SESSION = `
import json, sys, threading
import libtorrent as lt
session = lt.session({'listen_interfaces': '0.0.0.0:0', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False,
  'enable_natpmp': False, 'enable_outgoing_utp': False, 'enable_incoming_utp': False,
  'allow_multiple_connections_per_ip': True, 'active_downloads': -1, 'active_limit': -1, 'urlseed_wait_retry': 1,
  'alert_mask': lt.alert.category_t.storage_notification | lt.alert.category_t.error_notification})
handles = {}

def answer(line):
    verb, key = line['verb'], line['key']
    if verb == 'add':
        params = lt.parse_magnet_uri(line['magnet']) if line.get('magnet') else lt.add_torrent_params()
        if not line.get('magnet'):
            params.ti = lt.torrent_info(line['torrent'])
        params.save_path = line['target']
        handles[key] = session.add_torrent(params)
        return {}
    handle = handles[key]
    if verb == 'remove':
        session.remove_torrent(handle)
        del handles[key]
        return {}
    status = handle.status()
    if status.is_seeding:
        handle.flush_cache()
    return {'isComplete': status.is_seeding, 'doneBytes': status.total_wanted_done,
      'failedBytes': status.total_failed_bytes,
      'missingPieces': [i for i, has in enumerate(status.pieces) if not has]}

for text in sys.stdin:
    line = json.loads(text)
    try:
        print(json.dumps({'id': line['id'], 'answer': answer(line)}), flush=True)
    except Exception as error:
        print(json.dumps({'id': line['id'], 'error': repr(error)}), flush=True)
`;

/** The library of qBittorrent and Deluge, in a session of its own. @param python one that knows it, see `libtorrentPython` */
export function startLibtorrent(lifetime: Lifetime, python: string): LineClient {
  const ask = createLines(lifetime.program(python, ['-c', SESSION]));
  let lastKey = 0;
  return {
    name: 'libtorrent',
    knowsWebseeds: true,
    knowsPadding: true,
    makesEmptyFiles: true,
    async get({ torrentFile, magnet, target }) {
      lastKey += 1;
      const key = lastKey;
      await ask({ verb: 'add', key, torrent: torrentFile, magnet, target });
      return lineTransfer('libtorrent', ask, key);
    },
  };
}
