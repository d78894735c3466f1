import { spawn, spawnSync } from 'node:child_process';
import { onTestFinished } from 'vitest';

/** A Python that knows libtorrent; null with a printed line when there is none. It may be another than the first on the PATH. */
export function libtorrentPython(): string | null {
  for (const python of ['python3', '/usr/bin/python3'])
    if (spawnSync(python, ['-c', 'import libtorrent']).status === 0) return python;
  console.log('skipped: python3-libtorrent is not installed (scripts/install-test-peers.sh installs it)');
  return null;
}

const GET = `
import libtorrent as lt, sys, time
torrent, target, port, utp = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == 'utp'
session = lt.session({'listen_interfaces': '127.0.0.1:0', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False,
  'enable_natpmp': False, 'enable_outgoing_utp': utp, 'enable_incoming_utp': utp, 'enable_outgoing_tcp': not utp,
  'enable_incoming_tcp': not utp})
UTP_SOCKET = 1 << 17
wires = set()
handle = session.add_torrent({'ti': lt.torrent_info(torrent), 'save_path': target})
handle.connect_peer(('127.0.0.1', port))
end = time.time() + float(sys.argv[5])
while not handle.status().is_seeding and time.time() < end:
    wires |= {'utp' if peer.flags & UTP_SOCKET else 'tcp' for peer in handle.get_peer_info() if peer.total_download > 0}
    time.sleep(0.01 if utp else 0.1)
session.pause()
over = ' over ' + ' '.join(sorted(wires)) if utp else ''
print('complete' + over if handle.status().is_seeding else 'incomplete: %s' % handle.status().progress)
`;

/**
 * Fetches a torrent from one peer on loopback, and knows no other.
 * @param options.wire with `utp` it neither opens nor accepts a TCP connection
 * @param options.timeoutS default 30 s
 * @returns `complete`, with `utp` also over what; or how far it came in that time
 */
export function libtorrentGet(
  python: string,
  options: { torrentFile: string; target: string; port: number; wire?: 'tcp' | 'utp'; timeoutS?: number },
): Promise<string> {
  const { torrentFile, target, port, wire = 'tcp', timeoutS = 30 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(python, ['-c', GET, torrentFile, target, String(port), wire, String(timeoutS)]);
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    child.on('error', reject);
    child.on('close', () => resolve(output.trim()));
    onTestFinished(() => void child.kill('SIGKILL'));
  });
}

const SHOW = `
import libtorrent as lt, json, sys
info = lt.torrent_info(sys.argv[1])
files = info.files()
print(json.dumps({'infoHash': str(info.info_hashes().v1), 'name': info.name(), 'pieceLength': info.piece_length(), 'files': [
  {'path': files.file_path(i), 'length': files.file_size(i), 'isPadding': bool(files.file_flags(i) & lt.file_flags_t.flag_pad_file)}
  for i in range(files.num_files())]}))
`;

/** What libtorrent reads in a .torrent file; paths begin with the name of the folder. */
export function libtorrentShow(
  python: string,
  torrentFile: string,
): {
  infoHash: string;
  name: string;
  pieceLength: number;
  files: { path: string; length: number; isPadding: boolean }[];
} {
  const { stdout, stderr, status } = spawnSync(python, ['-c', SHOW, torrentFile], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const MAKE = `
import libtorrent as lt, sys
root, name, piece_length = sys.argv[1], sys.argv[2], int(sys.argv[3])
files = lt.file_storage()
for argument in sys.argv[4:]:
    size, path = argument.split(' ', 1)
    files.add_file(name + '/' + path, int(size))
torrent = lt.create_torrent(files, piece_length, lt.create_torrent.v1_only)
lt.set_piece_hashes(torrent, root)
print(lt.torrent_info(lt.bencode(torrent.generate())).info_hashes().v1)
`;

/** Has libtorrent make a torrent of the files of a folder, in that order. @returns the infohash */
export function libtorrentMake(
  python: string,
  options: {
    /** Holds the folder. */
    root: string;
    name: string;
    pieceLength: number;
    files: readonly { path: string; length: number }[];
  },
): string {
  const { root, name, pieceLength, files } = options;
  const { stdout, stderr, status } = spawnSync(
    python,
    ['-c', MAKE, root, name, String(pieceLength), ...files.map(({ path, length }) => `${length} ${path}`)],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}

const CHECK = `
import libtorrent as lt, sys, time
session = lt.session({'listen_interfaces': '127.0.0.1:0', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False,
  'enable_natpmp': False})
handle = session.add_torrent({'ti': lt.torrent_info(sys.argv[1]), 'save_path': sys.argv[2]})
end = time.time() + 60
def checked():
    state = handle.status().state
    return state not in (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data) and state != 0
while not checked() and time.time() < end:
    time.sleep(0.05)
print('complete' if handle.status().is_seeding else 'incomplete: %s' % handle.status().progress)
`;

/** Has libtorrent hash the files that lie in a folder. @returns `complete`, or what part of them is right */
export function libtorrentCheck(python: string, torrentFile: string, folder: string): string {
  return spawnSync(python, ['-c', CHECK, torrentFile, folder], { encoding: 'utf8' }).stdout.trim();
}
