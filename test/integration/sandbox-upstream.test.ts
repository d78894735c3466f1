import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findSevenZip } from '../../src/sandbox/seven-zip.ts';
import { has } from '../helpers/needs.ts';
import { DATE, digest, scriptedSite } from '../helpers/scripted-site.ts';

const hasBzip2 = has('bzip2');
const hasGzip = has('gzip');
const sevenZip = await findSevenZip();
if (sevenZip === null) console.log('skipped: no 7-Zip (7zz, 7z, 7za, 7zr) on the PATH');
const { ask, bytes, clock, faults, freshRun, root, statusOf, text, upstream } = scriptedSite();

describe('jobs of a run', () => {
  test('wait, run, fail and are done, in the words of upstream', async () => {
    const run = await freshRun();
    const job = async () => (await statusOf(run)).jobs.articlesdump;
    const name = `${run.dbname}-${DATE}-pages-articles.xml.bz2`;
    expect(await job()).toEqual({ status: 'waiting', updated: '', files: { [name]: {} } });
    expect((await ask(`/${run.dbname}/${DATE}/${name}`)).status).toBe(404);

    await run.setJob('articlesdump', 'in-progress', { share: 0.25 });
    const early = (await job())?.files?.[name];
    await run.setJob('articlesdump', 'in-progress', { share: 0.75 });
    const late = (await job())?.files?.[name];
    expect(Object.keys(late ?? {})).toEqual(['size']);
    expect(late?.size).toBeGreaterThan(early?.size ?? 0);

    await run.setJob('articlesdump', 'failed');
    expect(await job()).toMatchObject({ status: 'failed', files: { [name]: {} } });

    clock.nowMs = Date.parse('2026-01-09T12:34:56Z');
    await run.setJob('articlesdump', 'done');
    const done = await job();
    expect(done?.updated).toBe('2026-01-09 12:34:56');
    const data = await bytes(`/${run.dbname}/${DATE}/${name}`);
    expect(done?.files?.[name]).toEqual({
      size: data.length,
      url: `/${run.dbname}/${DATE}/${name}`,
      md5: digest('md5', data),
      sha1: digest('sha1', data),
    });

    await run.setJob('articlesdump', 'skipped', { files: 'absent' });
    expect(Object.keys((await job()) ?? {})).toEqual(['status', 'updated']);
    await run.setJob('articlesdump', 'thinking-about-it');
    expect((await job())?.status).toBe('thinking-about-it');
    await expect(run.setJob('nosuchjob', 'done')).rejects.toThrow(RangeError);
  });

  test('can all be finished at once, with failures', async () => {
    const run = await freshRun();
    await run.finish({ failed: ['pagelinkstable'] });
    const { jobs } = await statusOf(run);
    const states = new Set(Object.values(jobs).map((job) => job.status));
    expect([...states].toSorted()).toEqual(['done', 'failed']);
    expect(jobs.pagelinkstable?.status).toBe('failed');
    expect(await text(`/${run.dbname}/${DATE}/`)).toContain('Dump complete');
    expect(await run.status()).toEqual(await statusOf(run));
  });

  test('history jobs of a partial run are skipped', async () => {
    const run = await upstream().beginRun({
      dbname: 'frankwiki',
      date: '20260120',
      like: { dbname: 'aawiki' },
    });
    await run.finish();
    expect((await statusOf(run)).jobs.metahistorybz2dump?.status).toBe('skipped');
  });

  test('lose a file, which is {} in a done job and 404 on the site', async () => {
    const run = await freshRun();
    await run.finish();
    await run.dropFile('site_stats.sql.gz');
    const name = `${run.dbname}-${DATE}-site_stats.sql.gz`;
    const job = async () => (await statusOf(run)).jobs.sitestatstable;
    expect(await job()).toMatchObject({ status: 'done', files: { [name]: {} } });
    expect((await ask(`/${run.dbname}/${DATE}/${name}`)).status).toBe(404);
    expect(await text(`/${run.dbname}/${DATE}/${run.dbname}-${DATE}-sha1sums.txt`)).not.toContain(name);
    await run.restoreFile(name);
    expect((await job())?.files?.[name]?.size).toBeGreaterThan(0);
    expect((await ask(`/${run.dbname}/${DATE}/${name}`)).status).toBe(200);
    await expect(run.dropFile('nosuch.sql.gz')).rejects.toThrow(RangeError);
  });

  test('anything else is written by an edit, which later steps keep', async () => {
    const run = await freshRun();
    await run.edit((status) => {
      status.version = '0.9';
      status.jobs.articlesdump = { status: 'done', updated: '', files: { '../x': { size: 2 ** 40 } } };
    });
    await run.setJob('sitestatstable', 'done');
    const edited = await statusOf(run);
    expect([edited.version, edited.jobs.articlesdump?.files]).toEqual(['0.9', { '../x': { size: 2 ** 40 } }]);
    expect(edited.jobs.sitestatstable?.status).toBe('done');
    await run.edit(null);
    expect((await statusOf(run)).version).toBe('0.8');
  });
});

describe('hashes', () => {
  test('come late: first in no place, then in the lists, then in the status', async () => {
    const run = await freshRun();
    const folder = `/${run.dbname}/${DATE}`;
    const name = `${run.dbname}-${DATE}-redirect.sql.gz`;
    await run.hideHashes();
    await run.finish();
    expect(await text(`${folder}/dumpstatus.json`)).not.toMatch(/"md5"|"sha1"/);
    expect(await text(`${folder}/${run.dbname}-${DATE}-sha1sums.txt`)).toBe('');
    expect((await ask(`${folder}/sha1sums-${name}.txt`)).status).toBe(404);

    await run.showHashes({ where: 'sums', files: ['redirect.sql.gz'] });
    const sha1 = digest('sha1', await bytes(`${folder}/${name}`));
    expect(await text(`${folder}/${run.dbname}-${DATE}-sha1sums.txt`)).toBe(`${sha1}  ${name}\n`);
    expect(await text(`${folder}/sha1sums-${name}.txt`)).toBe(`${sha1}  ${name}\n`);
    expect(JSON.parse(await text(`${folder}/${run.dbname}-${DATE}-sha1sums.json`))).toEqual({
      sha1: { files: { [name]: sha1 } },
    });
    expect((await statusOf(run)).jobs.redirecttable?.files?.[name]).not.toHaveProperty('sha1');

    await run.showHashes({ algorithms: ['sha1'] });
    const file = (await statusOf(run)).jobs.redirecttable?.files?.[name];
    expect([file?.sha1, file?.md5]).toEqual([sha1, undefined]);
    await run.showHashes();
    expect((await statusOf(run)).jobs.redirecttable?.files?.[name]).toHaveProperty('md5');
  });

  test.skipIf(!has('sha1sum') || !has('md5sum'))('lists satisfy sha1sum and md5sum', async () => {
    const run = await freshRun('enwiki');
    await run.finish();
    await run.rerun('articlesdump');
    for (const algorithm of ['md5', 'sha1']) {
      const list = `${run.dbname}-${DATE}-${algorithm}sums.txt`;
      execFileSync(`${algorithm}sum`, ['--check', '--quiet', list], { cwd: join(root, run.dbname, DATE) });
    }
  });
});

describe('a job that runs again', () => {
  const jobs = ['metahistorybz2dump', 'metahistory7zdump', 'pagelinkstable'];

  test.skipIf(!hasBzip2 || !hasGzip || sevenZip === null)(
    'leaves other bytes that are still valid, with their facts in every document',
    async () => {
      const run = await freshRun();
      await run.finish();
      for (const sameSize of [false, false, true]) {
        for (const job of jobs) {
          const before = (await statusOf(run)).jobs[job];
          clock.nowMs += 60_000;
          await run.rerun(job, { sameSize });
          const after = (await statusOf(run)).jobs[job];
          const name = Object.keys(after?.files ?? {})[0] as string;
          const [old, facts] = [before?.files?.[name], after?.files?.[name]];
          expect(after?.updated).not.toBe(before?.updated);
          expect(facts?.size === old?.size).toBe(sameSize);
          expect(facts?.sha1).not.toBe(old?.sha1);
          const data = await bytes(`/${run.dbname}/${DATE}/${name}`);
          expect([data.length, digest('sha1', data), digest('md5', data)]).toEqual([
            facts?.size,
            facts?.sha1,
            facts?.md5,
          ]);
          const path = join(root, run.dbname, DATE, name);
          if (name.endsWith('.7z')) {
            const said = execFileSync(sevenZip as string, ['t', path]).toString();
            expect(said).toContain('Everything is Ok');
            expect(said).not.toMatch(/warning/i);
          } else execFileSync(name.endsWith('.gz') ? 'gzip' : 'bzip2', ['-t', path]);
        }
      }
    },
  );

  test('may cut its parts elsewhere', async () => {
    const run = await freshRun('enwiki');
    await run.finish();
    const before = Object.keys((await statusOf(run)).jobs.metacurrentdump?.files ?? {});
    await run.rerun('metacurrentdump', { rename: (file) => file.replace(/p\d+p\d+/, (r) => `${r}0`) });
    const after = Object.keys((await statusOf(run)).jobs.metacurrentdump?.files ?? {});
    expect(after).toEqual(before.map((name) => name.replace('.bz2', '0.bz2')));
    expect((await ask(`/${run.dbname}/${DATE}/${before[0]}`)).status).toBe(404);
    expect((await ask(`/${run.dbname}/${DATE}/${after[0]}`)).status).toBe(200);
    const sums = await text(`/${run.dbname}/${DATE}/${run.dbname}-${DATE}-md5sums.txt`);
    expect(sums).toContain(after[0]);
    expect(sums).not.toContain(`${before[0]}\n`);
  });

  test('does not disturb who is still reading the old bytes', async () => {
    const run = await freshRun();
    await run.finish();
    const path = `/${run.dbname}/${DATE}/${run.dbname}-${DATE}-pages-meta-history.xml.bz2`;
    const old = await bytes(path);
    const stall = faults.add({ server: 'dumps', match: path, kind: 'stall', atByte: 100 });
    const held = await ask(path);
    await stall.whenFired();
    await run.rerun('metahistorybz2dump');
    stall.release();
    expect(Buffer.from(await held.arrayBuffer()).equals(old)).toBe(true);
    const etag = held.headers.get('etag') ?? '';
    expect((await ask(path, { Range: 'bytes=5-', 'If-Range': etag })).status).toBe(200);
  });
});
