import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bzip2Stream, loadBzip2 } from '../src/sandbox/bzip2.ts';
import { BLOCK_BYTES, contentSha1, noise, repeatedSha1 } from './download-content.ts';
import { download, FILENAME, SEGMENT_BYTES, serve, withFolder } from './download-processes.ts';
import { figureOf, type MeasuredFigure } from './figure.ts';

const LIE_BYTES = 1e9;
/** Where the lie is: a look at the container reads what lies before it. */
const LIE_AT = 0.25;
const BZIP2_FILENAME = 'aawiki-20261120-pages-articles.xml.bz2';

/** One byte of a mirror's copy is wrong. */
export async function repairCost(root: string, note: (text: string) => void): Promise<MeasuredFigure[]> {
  const bzip2 = await loadBzip2();
  const stream = Buffer.concat([...bzip2Stream([bzip2.block(noise.subarray(0, 800_000))])]);
  const path = join(root, 'stream.bz2');
  writeFileSync(path, stream);
  const copies = Math.round(LIE_BYTES / stream.length);
  const blocks = Math.round(LIE_BYTES / BLOCK_BYTES);
  const kinds = [
    {
      ...{ what: 'a bzip2 file', filename: BZIP2_FILENAME, sizeBytes: copies * stream.length, from: [path] },
      ...{ sha1: repeatedSha1(stream, copies), target: { of: 'ours', bound: '<= 1' } as const },
    },
    {
      ...{ what: 'a file that says nothing of itself', filename: FILENAME, sizeBytes: blocks * BLOCK_BYTES },
      ...{ from: [], sha1: contentSha1(blocks * BLOCK_BYTES), target: undefined },
    },
  ];
  const figures: MeasuredFigure[] = [];
  for (const { what, filename, sizeBytes, from, sha1, target } of kinds) {
    note(`1 GB from a mirror that lies at one byte of ${what}`);
    const lieAt = Math.round(LIE_AT * sizeBytes);
    const [origin, mirror] = [await serve(sizeBytes, -1, from), await serve(sizeBytes, lieAt, from)];
    try {
      const ports = { originPort: origin.port, mirrorPorts: [mirror.port] };
      await withFolder(root, (dataDir) =>
        download({ dataDir, sizeBytes, sha1, ...ports, filename, withTorrent: false }),
      );
      const againBytes = origin.sentBytes();
      if (againBytes === 0) throw new Error('the mirror was not asked, or nobody noticed that it lied');
      figures.push(
        figureOf({
          name: `segments of 1 GB that travel again for one wrong byte, ${what}`,
          ...{ unit: 'segments', better: 'low', ours: [againBytes / SEGMENT_BYTES] },
          ...(target === undefined ? {} : { target }),
        }),
      );
    } finally {
      origin.stop();
      mirror.stop();
    }
  }
  return figures;
}
