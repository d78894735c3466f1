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
torrent, target, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
session = lt.session({'listen_interfaces': '127.0.0.1:0', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False,
  'enable_natpmp': False, 'enable_outgoing_utp': False, 'enable_incoming_utp': False})
handle = session.add_torrent({'ti': lt.torrent_info(torrent), 'save_path': target})
handle.connect_peer(('127.0.0.1', port))
end = time.time() + 30
while not handle.status().is_seeding and time.time() < end:
    time.sleep(0.1)
session.pause()
print('complete' if handle.status().is_seeding else 'incomplete: %s' % handle.status().progress)
`;

/** Fetches a torrent from one peer on loopback, and knows no other. @returns `complete`, or how far it came in 30 s */
export function libtorrentGet(
  python: string,
  { torrentFile, target, port }: { torrentFile: string; target: string; port: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(python, ['-c', GET, torrentFile, target, String(port)]);
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
