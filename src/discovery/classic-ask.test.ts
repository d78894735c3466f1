import { expect, test } from 'vitest';
import { askStatus } from './classic-ask.ts';
import type { Look } from './source.ts';

test('a description is read in another turn of the event loop than the one in which it arrived', async () => {
  const url = '/aawiki/20261101/aawiki-20261101-site_stats.sql.gz';
  const files = { 'aawiki-20261101-site_stats.sql.gz': { size: 1, url } };
  const document = JSON.stringify({ version: '0.8', jobs: { sitestatstable: { status: 'done', files } } });
  const events: string[] = [];
  const upstream = {
    get: async () => ({
      kind: 'body',
      validators: null,
      text: async () => {
        events.push('arrived');
        setImmediate(() => events.push('turn'));
        return document;
      },
    }),
  };
  const look = { runDate: '20261101', signal: new AbortController().signal, upstream } as unknown as Look;
  const sighting = await askStatus('https://x', look, { wikiDbName: 'aawiki', isInIndex: null }, null);
  events.push('read');
  expect(events).toEqual(['arrived', 'turn', 'read']);
  expect(sighting).toMatchObject({ kind: 'document', document });
});
