import { expect, test } from 'vitest';
import { FakeClock } from '../../test/helpers/fake-clock.ts';
import { withDb } from '../../test/helpers/with-db.ts';
import { minutes, RetryableError, seconds, TorrentId, UnavailableError } from '../lib/index.ts';
import { silentLog } from '../ports/index.ts';
import { createEndedSeeding, type EndedSeeding } from './ended-seeding.ts';

/** Goal: whoever seeds is asked seldom while it does not answer, and one torrent that it never lets go of keeps no other from being asked about. */

type Answer = 'gone' | 'kept' | 'down' | 'slow' | 'late';

function setup(count: number) {
  const db = withDb();
  const insert = db.sqlite.prepare(
    `INSERT INTO torrents (id, name, grouping, cycle_date, info_hash, magnet_link, total_size_bytes, file_count, piece_length, piece_count,
                           torrent_file_path, content_path, created_at, retired_at) VALUES (?, ?, 'cycle', '2026-09-01', ?, 'm', 1, 1, 1, 1, 't', 'torrents', 0, 1)`,
  );
  const torrents = Array.from({ length: count }, (_, index) => {
    const infoHash = 'abcdef'.charAt(index).repeat(40);
    insert.run(index + 1, infoHash, infoHash);
    return { id: TorrentId.parse(index + 1), infoHash };
  });
  const clock = new FakeClock();
  const answers = new Map<string, Answer>();
  let asked = '';
  const ended = createEndedSeeding({
    ...{ db, clock, log: silentLog },
    async stopSeeding(infoHash) {
      const name = infoHash.charAt(0);
      asked += name;
      const answer = answers.get(name) ?? 'gone';
      if (answer === 'slow') await clock.advance(seconds(10));
      if (answer === 'late') await clock.advance(minutes(2));
      const cause = answer === 'down' ? new UnavailableError('engine_down', 'nobody listens') : undefined;
      if (answer !== 'gone') throw new RetryableError('seeding_not_ended', 'not sure', { cause });
    },
  });
  return {
    ...{ db, clock, ended, torrents },
    say: (names: string, answer: Answer) => {
      for (const name of names) answers.set(name, answer);
    },
    /** Asks for all, in the order that never changes. @returns who was asked about, and of whom it is known */
    async all(of: EndedSeeding = ended): Promise<[string, string]> {
      asked = '';
      let known = '';
      for (const torrent of torrents) if (await of.of(torrent)) known += torrent.infoHash.charAt(0);
      return [asked, known];
    },
  };
}

test('a program that is down is asked once a minute, each time about another torrent', async () => {
  const { clock, say, all } = setup(3);
  say('abc', 'down');
  expect(await all()).toEqual(['a', '']);
  expect(await all()).toEqual(['', '']);
  await clock.advance(minutes(1));
  expect(await all()).toEqual(['b', '']);
  await clock.advance(minutes(1));
  expect(await all()).toEqual(['c', '']);
  await clock.advance(minutes(1));
  say('abc', 'gone');
  expect(await all()).toEqual(['abc', 'abc']);
  expect(await all()).toEqual(['', 'abc']);
});

test('a torrent that it does not let go of is asked about again in a minute, all others now', async () => {
  const { clock, say, all } = setup(3);
  say('a', 'kept');
  expect(await all()).toEqual(['abc', 'bc']);
  expect(await all()).toEqual(['', 'bc']);
  await clock.advance(minutes(1));
  expect(await all()).toEqual(['a', 'bc']);
});

test('what looks like a program that is down and is one torrent does not keep the others from being asked about', async () => {
  const { clock, say, all } = setup(4);
  say('a', 'down');
  expect(await all()).toEqual(['a', '']);
  await clock.advance(minutes(1));
  expect(await all()).toEqual(['bcda', 'bcd']);
});

test('any number of torrents that are not let go of keep nobody from being asked about, as long as that is said at once', async () => {
  const { clock, say, all } = setup(6);
  say('abcd', 'kept');
  expect(await all()).toEqual(['abcdef', 'ef']);
  await clock.advance(minutes(1));
  expect(await all()).toEqual(['abcd', 'ef']);
});

test('half a minute in vain is taken for the program; the next minute belongs to the others', async () => {
  const { clock, say, all } = setup(6);
  say('abcd', 'slow');
  expect(await all()).toEqual(['abc', '']);
  await clock.advance(minutes(1));
  expect(await all()).toEqual(['defabc', 'ef']);
});

test('a torrent whose answer takes longer than a minute is asked about once, not for ever', async () => {
  const { say, all } = setup(2);
  say('ab', 'late');
  expect(await all()).toEqual(['a', '']);
  expect(await all()).toEqual(['', '']);
});

test('when whoever seeds is heard again nobody waits for the minute to end', async () => {
  const { say, all, ended } = setup(3);
  say('abc', 'down');
  expect(await all()).toEqual(['a', '']);
  expect(ended.why()).toContain('not sure: nobody listens');
  say('abc', 'gone');
  ended.heard();
  expect(await all()).toEqual(['abc', 'abc']);
  expect(ended.why()).toBeNull();
});

test('one that is wanted again meanwhile is not asked about', async () => {
  const { db, clock, say, all, ended, torrents } = setup(3);
  say('abc', 'down');
  await all();
  await clock.advance(minutes(1));
  say('abc', 'gone');
  db.sqlite.exec('UPDATE torrents SET retired_at = NULL WHERE id = 2');
  const [first, second] = torrents as [(typeof torrents)[number], (typeof torrents)[number]];
  let asked = await ended.of(first).then(() => all());
  // Whoever asks for it by name knows better.
  expect(asked[0]).toBe('b');
  ended.forget(second.id);
  asked = await all();
  expect(asked).toEqual(['b', 'abc']);
});
