import { describe, expect, it } from 'vitest';
import type { Catalog, DumpFile, DumpRun } from '../catalog/index.ts';
import { selectFiles, type Variant } from './selection.ts';

/** A catalog of two types in the cycle: `page` is regular, `pages-meta-history` is history, stubs are in both lists. */
function setup(notices: { dumpType: string; reason: string }[]) {
  const file = (dumpType: string, isHistory: boolean): DumpFile =>
    ({
      dumpType,
      isHistory,
      filename: dumpType,
      wikiDbName: 'aawiki',
      source: 'classic',
      runDate: '20261120',
    }) as DumpFile;
  const files = [file('page', false), file('stub-meta-history', false), file('pages-meta-history', true)];
  const run = { wikiDbName: 'aawiki', source: 'classic', runDate: '20261120', status: 'finished' };
  const catalog = {
    dumpFiles: () => files,
    runs: () => [{ ...run, notices: JSON.stringify(notices) } as DumpRun],
    wikis: () => [],
  } satisfies Pick<Catalog, 'dumpFiles' | 'runs' | 'wikis'>;
  const select = (variant: Variant) =>
    selectFiles({
      catalog,
      variant,
      cycleDate: '2026-11-20',
      historyTypes: ['pages-meta-history', 'stub-meta-history'],
    });
  const noticesOf = (variant: Variant) => select(variant).notices.map((notice) => notice.dumpType);
  return { select, noticesOf };
}

describe('selectFiles', () => {
  it('gives stubs to both torrents, full history to one', () => {
    const { select } = setup([]);
    const types = (variant: Variant) => select(variant).absent.map((file) => file.dumpType);
    expect(types('regular')).toEqual(['page', 'stub-meta-history']);
    expect(types('history')).toEqual(['pages-meta-history', 'stub-meta-history']);
  });

  it('tells a notice where its kind of file would be, and an unknown kind in the regular torrent', () => {
    const reason = 'not offered';
    const { noticesOf } = setup(
      ['page', 'stub-meta-history', 'pages-meta-history', 'abstract'].map((dumpType) => ({
        dumpType,
        reason,
      })),
    );
    expect(noticesOf('regular')).toEqual(['abstract', 'page', 'stub-meta-history']);
    expect(noticesOf('history')).toEqual(['pages-meta-history', 'stub-meta-history']);
  });

  it('leaves hosts out of reasons', () => {
    const { select } = setup([
      { dumpType: 'page', reason: 'see  http://127.0.0.1:8080/aawiki/20261120/\nfor more' },
    ]);
    expect(select('regular').notices[0]?.reason).toBe('see /aawiki/20261120/ for more');
  });
});
