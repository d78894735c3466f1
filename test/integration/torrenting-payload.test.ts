import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { has } from '../helpers/needs.ts';
import {
  AA,
  BROKEN_UPSTREAM,
  EMPTY,
  EXPORT,
  GONE,
  makeWith,
  NEWS,
  setup,
  text,
} from '../helpers/torrenting-bundle.ts';

/*
 * Goal: the files we add to a torrent are true, and ordinary programs agree with them.
 * Method: real files in temporary data directories, the real job handler, a catalog in memory.
 * Independent checkers: sha1sum and friends.
 */

describe('the added files', () => {
  it.each([
    ['sha1sum', 'checksums.txt', []],
    ['md5sum', 'checksums.txt', []],
    ['sha256sum', 'checksums.txt', []],
    ['sha256sum', 'HASH.txt', []],
    ['sha1sum', 'HASH.txt', []],
    ['md5sum', 'HASH.txt', []],
    ['shasum', 'HASH.txt', ['-a', '256']],
  ])('satisfy %s -c %s', async (program, list, args) => {
    if (!has(program)) return;
    const operator = await makeWith({});
    const out = execFileSync(program, [...args, '-c', list], {
      cwd: operator.root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    for (const spec of [AA, NEWS, EMPTY, EXPORT])
      expect(out).toMatch(new RegExp(`${spec.name.replaceAll('.', '\\.')}: OK`));
    expect(out).not.toContain('FAILED');
    // A control: the same list must notice a changed file.
    const victim = join(operator.root, 'compressed/aa/wikipedia', AA.name);
    const bytes = readFileSync(victim);
    bytes[17] = bytes[17]! ^ 1;
    writeFileSync(victim, bytes);
    expect(spawnSync(program, [...args, '-c', list], { cwd: operator.root }).status).not.toBe(0);
  });

  it('has the checksum list of the seed document', async () => {
    const operator = await makeWith({ specs: [EMPTY] });
    const path = `compressed/aa/wikipedia/${EMPTY.name}`;
    expect(text(operator, 'checksums.txt')).toBe(`# WikiSeed Torrent Dump Checksums - 20 November 2026
# https://wikiseed.app
# Generated: 2026-11-20 00:00 UTC (the date of the dump cycle)
# WikiSeed version: 1.1 (of these files; see VERSION.txt)
# WikiSeed GitHub: https://github.com/WikiSeedProject/WikiSeed
# Check: sha1sum -c checksums.txt (or md5sum, sha256sum); each reads the lines of its own kind.

# classic dump; proved by the SHA-1 that Wikimedia published
SHA1(${path})= da39a3ee5e6b4b0d3255bfef95601890afd80709
MD5(${path})= d41d8cd98f00b204e9800998ecf8427e
SHA256(${path})= e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
`);
    expect(text(operator, 'sources.txt')).toContain(`
Project: wikipedia
Language: aa
Wiki: aawiki
Kind: classic dump
Source: https://dumps.wikimedia.org/aawiki/20261120/
Archive Source Page: none recorded
Status JSON: https://dumps.wikimedia.org/aawiki/20261120/dumpstatus.json
Archived Status JSON: none recorded
`);
  });

  it('say of every expected file whether it is inside, and why not', async () => {
    const operator = await makeWith({});
    const status = JSON.parse(text(operator, 'STATUS.json'));
    expect(status.summary).toEqual({
      included: 4,
      not_included: 0,
      failed_upstream: 1,
      missing: 1,
      quarantined: 0,
      not_offered: 2,
      not_finished: 0,
    });
    const states = Object.fromEntries(
      status.files.map((file: { filename: string; state: string }) => [file.filename, file.state]),
    );
    expect(states).toEqual({
      [AA.name]: 'included',
      [NEWS.name]: 'included',
      [EMPTY.name]: 'included',
      [EXPORT.name]: 'included',
      [GONE.name]: 'missing',
      [BROKEN_UPSTREAM.name]: 'failed_upstream',
    });
    expect(status.notOffered).toMatchObject([
      {
        wiki: 'aawiki',
        source: 'classic',
        dumpType: 'all-titles',
        reason: 'not offered by /aawiki/20261120/',
      },
      { wiki: 'zzwiki', source: 'classic', dumpType: '*', reason: 'upstream has no such run' },
    ]);
    expect(text(operator, 'STATUS.txt')).toContain('absent           zzwiki 20261120 (classic)');
  });

  it('tell what failed upstream, or came in part, from what a run does not offer', async () => {
    const operator = setup({});
    const run = operator.runs[0]!;
    run.notices = JSON.stringify([
      { dumpType: 'redirect', reason: 'failed upstream', kind: 'failed' },
      { dumpType: 'pagelinks', reason: 'upstream lacks some of its files', kind: 'lacking' },
      { dumpType: 'abstract', reason: 'skipped by upstream in this run', kind: 'skipped' },
    ]);
    await operator.make();
    const status = JSON.parse(text(operator, 'STATUS.json'));
    // One file, two kinds of files.
    expect(status.summary).toMatchObject({ failed_upstream: 3, not_offered: 2, not_finished: 0 });
    const types = (list: { dumpType: string }[]) => list.map(({ dumpType }) => dumpType);
    expect(types(status.failedUpstream)).toEqual(['pagelinks', 'redirect']);
    expect(types(status.notOffered)).toEqual(['abstract', '*']);
    expect(status.notFinished).toEqual([]);
    expect(status.runs).toContainEqual(expect.objectContaining({ wiki: 'aawiki', status: 'finished' }));
    const told = text(operator, 'STATUS.txt');
    expect(told).toContain('failed_upstream  3  (');
    expect(told).toContain(`
Kinds of files that Wikimedia failed to make, or made only in part:
failed_upstream  aawiki 20261120 (classic) pagelinks: upstream lacks some of its files
failed_upstream  aawiki 20261120 (classic) redirect: failed upstream

Kinds of files that a run does not offer (* stands for the whole run):
not_offered      aawiki 20261120 (classic) abstract: skipped by upstream in this run
`);
  });

  it('name the canonical place at Wikimedia, also of content exports', async () => {
    const operator = await makeWith({ baseUrl: 'http://127.0.0.1:1' });
    const { files } = JSON.parse(text(operator, 'HASH.json'));
    const addresses = Object.fromEntries(
      files.map((file: { filename: string; upstreamUrl: string }) => [file.filename, file.upstreamUrl]),
    );
    expect(addresses[AA.name]).toBe(`https://dumps.wikimedia.org/aawiki/20261120/${AA.name}`);
    expect(addresses[EXPORT.name]).toBe(
      `https://dumps.wikimedia.org/other/mediawiki_content_current/aawiki/2026-11-01/xml/bzip2/${EXPORT.name}`,
    );
  });

  it('tell which hash of upstream proved each file, by its source, and which file none did', async () => {
    const operator = await makeWith({ specs: [AA, EXPORT, { ...EMPTY, verification: 'structure-only' }] });
    const { files } = JSON.parse(text(operator, 'HASH.json'));
    type Hashed = Record<'filename' | 'source' | 'verifiedBy' | 'md5' | 'sha1' | 'sha256', string> & {
      upstreamHash: { algorithm: 'md5' | 'sha1' | 'sha256'; value: string } | null;
    };
    const proofs = (files as Hashed[]).map(({ filename, source, verifiedBy, upstreamHash, ...ours }) => [
      ...[filename, source, verifiedBy, upstreamHash?.algorithm ?? null],
      upstreamHash === null || ours[upstreamHash.algorithm] === upstreamHash.value,
    ]);
    expect(proofs).toEqual([
      [EXPORT.name, 'content_current', 'sha256-upstream', 'sha256', true],
      [AA.name, 'classic', 'sha1', 'sha1', true],
      [EMPTY.name, 'classic', 'structure-only', null, true],
    ]);
    expect(text(operator, 'HASH.txt')).toContain(`
# Proved by the SHA-1 that Wikimedia published: 1 files
# Proved by the SHA-256 that Wikimedia published: 1 files
# Unverified upstream, because Wikimedia published no hash: 1 files
#   compressed/aa/wikipedia/${EMPTY.name}
`);
    expect(text(operator, 'checksums.txt')).toContain(`
# content export, current; proved by the SHA-256 that Wikimedia published
SHA1(compressed/aa/wikipedia/${EXPORT.name})`);
    expect(text(operator, 'checksums.txt')).toContain('# classic dump; unverified upstream');
    expect(text(operator, 'STATUS.txt')).toContain(
      `${EMPTY.name}: unverified upstream: Wikimedia published no hash`,
    );
    expect(text(operator, 'sources.txt')).toContain(`Kind: content export, current
Source: https://dumps.wikimedia.org/other/mediawiki_content_current/aawiki/2026-11-01/xml/bzip2/
Hashes: https://dumps.wikimedia.org/other/mediawiki_content_current/aawiki/2026-11-01/xml/bzip2/SHA256SUMS
`);
  });

  it('carry nothing that is unverified, held or not, and say why', async () => {
    const plain = { ...EMPTY, dumpType: 'siteinfo', sizeBytes: 77 };
    const held = { ...plain, name: 'aawiki-20261120-siteinfo.json', verification: 'structure-only' as const };
    const proved = { ...plain, name: 'aawiki-20261120-proved.json' };
    const operator = await makeWith({ specs: [AA, held, proved] });
    const { files } = JSON.parse(text(operator, 'HASH.json'));
    const names = (files as { filename: string }[]).map(({ filename }) => filename);
    expect(names.toSorted()).toEqual([AA.name, proved.name].sort());
    expect(text(operator, 'STATUS.txt')).toContain(held.name);
    expect(text(operator, 'STATUS.txt')).toContain(
      'Wikimedia listed it without any hash, and it is not packed in a way that could be checked',
    );
  });

  it('give the licence of each project inside', async () => {
    const operator = await makeWith({});
    expect(text(operator, 'LICENSE.txt')).toMatch(/wikinews\n {2}Creative Commons Attribution 2\.5/);
    expect(text(operator, 'LICENSE.txt')).toMatch(
      /wikipedia\n {2}Creative Commons Attribution-ShareAlike 4\.0/,
    );
    expect(text(operator, 'README.txt')).toContain('20 November 2026; here are 4 files from 2 wikis');
    expect(text(operator, 'ARCHIVE_URLS.txt')).toContain('No archived copies');
    expect(JSON.parse(text(operator, 'ARCHIVE_URLS.json')).pages).toEqual([]);
  });
});
