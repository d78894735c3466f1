import { expect, test } from 'vitest';
import { formatProblem, loadConfig } from './index.ts';

/** The warnings as an operator sees them. */
function warnings(text: string): string[] {
  const file = `wikiseed: {contact: ops@example.org}\n${text}\n`;
  const result = loadConfig({ path: null, env: {}, readTextFile: () => file });
  if (!result.ok) throw new Error(result.problems.map((problem) => formatProblem(problem, null)).join('\n'));
  return result.warnings.map((problem) => formatProblem(problem, null));
}

const SOCKET = 'torrents: {trackers: ["udp://tracker.example.org:1337", "wss://tracker.example.org"]}\n';

test.each([
  [`${SOCKET}seeding: {webrtc: true, utp: true}`, []],
  ['seeding: {utp: true, listen_host: 0.0.0.0}', []],
  [SOCKET, ['torrents.trackers[1]: is written into torrents, but we do not announce there']],
  ['seeding: {webrtc: true}', ['seeding.webrtc: is true, but torrents.trackers has no wss:// address']],
  ['seeding: {utp: true, listen_host: "2001:db8::1"}', ['uTP is for IPv4 addresses only']],
  [
    'seeding: {utp: true, webrtc: true, engine: none}',
    ['seeding.utp: is not used: the engine is none', 'seeding.webrtc: is not used: the engine is none'],
  ],
])('%s', (text, expected) => {
  expect(warnings(text)).toEqual(expected.map((each) => expect.stringContaining(each)));
});
