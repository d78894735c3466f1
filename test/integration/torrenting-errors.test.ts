import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Snooze } from '../../src/lib/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import {
  AA,
  bytesOf,
  CYCLE,
  EMPTY,
  GONE,
  makeWith,
  NEWS,
  setup,
  text,
  tree,
} from '../helpers/torrenting-bundle.ts';

/*
 * Goal: a torrent is never made of wrong, missing or unsafe files, and no last copy of a file is lost.
 * Method: real files in temporary data directories, harmed on purpose; the real job handler, a catalog in memory.
 */

const MINUTE = 60_000;

function flipByte(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = bytes[at]! ^ 1;
  writeFileSync(path, bytes);
}

describe('errors of create_torrent', () => {
  it('refuses a cycle without any verified file', async () => {
    const operator = setup({ specs: [GONE] });
    await expect(operator.make()).rejects.toMatchObject({ name: 'PermanentError', code: 'torrent_empty' });
    expect(existsSync(operator.layout.torrents)).toBe(false);
  });

  it('sends a file that is missing on the disk back to be fetched, and waits for it', async () => {
    const operator = setup();
    const expected = (await makeWith({})).output.infoHash;
    const place = operator.layout.absolute(operator.rows[0]!.localPath!);
    unlinkSync(place);
    await expect(operator.make()).rejects.toMatchObject({
      name: 'Snooze',
      delayMs: 60_000,
      message: expect.stringContaining(AA.name),
    });
    expect(operator.reopened).toEqual([[AA.name, expect.stringContaining('is not there')]]);
    expect(existsSync(operator.layout.torrents)).toBe(false);
    expect(existsSync(place)).toBe(false);
    expect(operator.toRepair).toEqual([]);
    // Still on its way: neither torrent goes on without it, and nothing is asked for twice.
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    operator.rows[0]!.ourStatus = 'downloading';
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    expect(operator.reopened).toHaveLength(1);
    operator.fetchAgain(AA);
    expect((await operator.make()).infoHash).toBe(expected);
  });

  it.each([
    ['was changed', (path: string) => flipByte(path, 70_000)],
    ['is shorter', (path: string) => truncateSync(path, 5)],
    ['is longer', (path: string) => appendFileSync(path, 'x')],
  ])('keeps a file that %s on the disk, asks for its repair, and waits for it', async (_what, harm) => {
    const clock = new FakeClock();
    const operator = setup({ clock });
    const expected = (await makeWith({})).output.infoHash;
    const place = operator.layout.absolute(operator.rows[0]!.localPath!);
    harm(place);
    const rotten = readFileSync(place);
    await expect(operator.make()).rejects.toMatchObject({
      name: 'Snooze',
      delayMs: 60_000,
      message: expect.stringContaining(AA.name),
    });
    // No byte was given up, neither on the disk nor in the catalog.
    expect(readFileSync(place)).toEqual(rotten);
    expect(operator.reopened).toEqual([]);
    expect(operator.rowOf(AA)).toMatchObject({ ourStatus: 'downloaded', damagedAt: clock.now() });
    expect(operator.toRepair).toEqual([AA.name]);
    expect(existsSync(operator.layout.torrents)).toBe(false);
    // Not sound yet: neither torrent goes on without it, and its repair is not asked for every minute.
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    await clock.advance(9 * MINUTE);
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    expect(operator.toRepair).toEqual([AA.name]);
    operator.fetchAgain(AA);
    expect((await operator.make()).infoHash).toBe(expected);
  });

  it('asks for a repair again ever less often, and after two days goes on without the file, with the reason', async () => {
    const clock = new FakeClock();
    let operator: Pick<ReturnType<typeof setup>, 'make'> = setup({ clock });
    const world = operator as ReturnType<typeof setup>;
    flipByte(world.layout.absolute(world.rowOf(AA).localPath!), 9);
    const began = clock.now();
    let cursor: unknown = null;
    const asked: number[] = [];
    const outputs: Awaited<ReturnType<typeof operator.make>>[] = [];
    for (let round = 0; outputs.length === 0 && round < 500; round += 1) {
      const before = world.toRepair.length;
      const result = await operator.make({}, undefined, cursor).catch((error: Error) => error);
      if (world.toRepair.length > before) asked.push((clock.now() - began) / MINUTE);
      if (result instanceof Snooze) cursor = JSON.parse(JSON.stringify(result.cursor));
      else if (result instanceof Error) throw result;
      else outputs.push(result);
      // A new process knows what the one before waited for.
      if (round === 5) operator = world.another();
      if (outputs.length === 0) await clock.advance(10 * MINUTE);
    }
    expect(asked).toEqual([0, 10, 20, 40, 80, 160, 320, 640, 1000, 1360, 1720, 2080, 2440, 2800]);
    expect(clock.now() - began).toBe(48 * 60 * MINUTE);
    expect(outputs[0]?.files.map(({ dumpId }) => dumpId)).not.toContain(world.rowOf(AA).id);
    expect(text(world, 'STATUS.txt')).toContain(
      `missing          aawiki ${AA.name}: its stored copy was damaged, and the right bytes could not be had before the torrent was made`,
    );
    expect(world.rowOf(AA)).toMatchObject({ ourStatus: 'downloaded', localPath: expect.any(String) });
    expect(world.reopened).toEqual([]);
  });

  it('waits anew for a file that was repaired once and rotted again', async () => {
    const clock = new FakeClock();
    const operator = setup({ clock });
    const place = operator.layout.absolute(operator.rowOf(AA).localPath!);
    flipByte(place, 9);
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    operator.fetchAgain(AA);
    await clock.advance(72 * 60 * MINUTE);
    // Found by the scrub.
    flipByte(place, 9);
    operator.rowOf(AA).damagedAt = clock.now();
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    expect(operator.toRepair).toEqual([AA.name, AA.name]);
  });

  it('does not make a recorded torrent again without a damaged file, and gives nothing of it up', async () => {
    const clock = new FakeClock();
    const operator = setup({ clock });
    await operator.makeAndRecord();
    const before = tree(operator.root);
    flipByte(join(operator.root, 'compressed/aa/wikipedia', AA.name), 9);
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    await clock.advance(48 * 60 * MINUTE);
    await expect(operator.make()).rejects.toMatchObject({ code: 'torrent_incomplete' });
    expect(tree(operator.root)).toEqual(before);
    expect(existsSync(operator.layout.absolute(operator.rowOf(AA).localPath!))).toBe(true);
  });

  it('waits for a file on its way also after a restart, but goes on without one that was given up', async () => {
    const operator = setup();
    unlinkSync(operator.layout.absolute(operator.rows[0]!.localPath!));
    const snooze = (await operator.make().catch((error: unknown) => error)) as { cursor: unknown };
    const cursor = JSON.parse(JSON.stringify(snooze.cursor));
    const restarted = operator.another();
    await expect(restarted.make({}, undefined, cursor)).rejects.toMatchObject({ name: 'Snooze' });
    operator.rows[0]!.ourStatus = 'failed';
    const output = await restarted.make({}, undefined, cursor);
    expect(output.files.map((file) => file.pathInTorrent)).not.toContain(
      `compressed/aa/wikipedia/${AA.name}`,
    );
  });

  it('keeps every name of damaged bytes, and builds the same torrent again over the repaired ones', async () => {
    const operator = setup();
    const first = await operator.make();
    operator.handler.record?.({ cycleDate: CYCLE, variant: 'regular', supplement: 0 }, first);
    flipByte(join(operator.root, 'compressed/aa/wikipedia', AA.name), 3);
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    expect(tree(operator.root)).toContain(`compressed/aa/wikipedia/${AA.name}`);
    operator.fetchAgain(AA);
    expect((await operator.make()).infoHash).toBe(first.infoHash);
    expect(readFileSync(join(operator.root, 'compressed/aa/wikipedia', AA.name))).toEqual(bytesOf(AA));
  });

  it('gives the last copy of a file, in the folder of a torrent, its name back', async () => {
    const operator = setup();
    const first = await operator.make();
    const place = operator.layout.absolute(operator.rows[0]!.localPath!);
    unlinkSync(place);
    expect((await operator.make()).infoHash).toBe(first.infoHash);
    expect(readFileSync(place)).toEqual(bytesOf(AA));
    expect(operator.reopened).toEqual([]);
  });

  it('sends nothing back when the disk is not mounted or cannot be read', async () => {
    const operator = setup();
    rmSync(operator.layout.dumps, { recursive: true });
    mkdirSync(operator.layout.dumps);
    await expect(operator.make()).rejects.toMatchObject({
      name: 'RetryableError',
      code: 'dumps_folder_empty',
    });
    const other = setup();
    const place = other.layout.absolute(other.rows[0]!.localPath!);
    unlinkSync(place);
    mkdirSync(place);
    await expect(other.make()).rejects.toMatchObject({
      name: 'RetryableError',
      code: 'torrent_read_failed',
      message: expect.stringContaining(AA.name),
    });
    expect([...operator.reopened, ...other.reopened]).toEqual([]);
  });

  it('leaves out only the file whose name would fall together with others where case is ignored', async () => {
    const operator = setup({ specs: [AA, NEWS, { ...EMPTY, language: 'AA', name: 'other.gz' }] });
    const output = await operator.make();
    expect(output.files.map((file) => file.pathInTorrent)).toEqual([
      `compressed/aa/wikipedia/${AA.name}`,
      `compressed/en/wikinews/${NEWS.name}`,
    ]);
    expect(text(operator, 'STATUS.txt')).toContain(
      'not_included     aawiki other.gz: its name and that of another file would be one where case is ignored',
    );
  });

  it.each(['..', '', 'a/b'])('leaves out only the file of the unsafe language %j', async (language) => {
    const operator = setup();
    operator.rows[0]!.language = language;
    const output = await operator.make();
    expect(output.files).toHaveLength(3);
    const status = JSON.parse(text(operator, 'STATUS.json'));
    expect(status.summary).toMatchObject({ included: 3, not_included: 1 });
    expect(text(operator, 'STATUS.txt')).toContain(
      `not_included     aawiki ${AA.name}: its language or project is not a safe folder name`,
    );
  });

  it('claims wrong bytes only of a file whose bytes were wrong', async () => {
    const operator = setup({
      specs: [
        AA,
        GONE,
        { ...GONE, name: 'aawiki-20261120-a.gz', ourStatus: 'pending' },
        { ...GONE, name: 'aawiki-20261120-b.gz', ourStatus: 'quarantined' },
      ],
    });
    await operator.make();
    expect(text(operator, 'STATUS.txt')).toContain(
      `missing          aawiki ${GONE.name}: Wikimedia listed it, but has it no more`,
    );
    expect(text(operator, 'STATUS.txt')).toContain(
      'missing          aawiki aawiki-20261120-a.gz: Wikimedia listed it without any hash, and it was not fetched by the deadline',
    );
    expect(text(operator, 'STATUS.txt')).toContain(
      'quarantined      aawiki aawiki-20261120-b.gz: it was fetched, but its bytes never matched what Wikimedia published',
    );
  });

  it('stops hashing when its signal aborts', async () => {
    const operator = setup();
    const stop = new AbortController();
    stop.abort();
    await expect(operator.make({}, stop.signal)).rejects.toSatisfy((error) =>
      ['Interrupted', 'AbortError'].includes((error as Error).name),
    );
  });

  it('leaves a recorded torrent alone when its files would be others now', async () => {
    const operator = setup();
    const first = await operator.make();
    operator.handler.record?.({ cycleDate: CYCLE, variant: 'regular', supplement: 0 }, first);
    expect((await operator.make()).infoHash).toBe(first.infoHash);
    operator.recorded[0]!.files.pop();
    await expect(operator.make()).rejects.toMatchObject({ name: 'PermanentError', code: 'torrent_is_final' });
    expect(tree(operator.root)).toContain(`compressed/en/wikinews/${NEWS.name}`);
  });

  it('never removes a folder that holds the last copy of a file', async () => {
    const operator = setup();
    await operator.make();
    unlinkSync(operator.layout.absolute(operator.rows[0]!.localPath!));
    operator.rows.shift();
    await expect(operator.make()).rejects.toMatchObject({ code: 'torrent_folder_in_the_way' });
    expect(readFileSync(join(operator.root, 'compressed/aa/wikipedia', AA.name))).toEqual(bytesOf(AA));
  });
});
