import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, crc32, deflateRawSync } from 'node:zlib';
import { bzip2Stream, loadBzip2 } from '../src/sandbox/bzip2.ts';
import { BLOCK_BYTES, contentSha1, noise, repeatedSha1 } from './download-content.ts';
import { download, SEGMENT_BYTES, serve, withFolder } from './download-processes.ts';
import { figureOf, type MeasuredFigure } from './figure.ts';

const LIE_BYTES = 1e9;
/** Where the lie is: a look at the container reads what lies before it. */
const PLACES = { front: 0.25, middle: 0.5, end: 0.98 } as const;

interface Kind {
  what: string;
  filename: string;
  sizeBytes: number;
  /** Files that the server makes it of; none = noise. */
  from: string[];
  sha1: string;
  /** Only bzip2 says of its own which block is wrong. */
  saysWhere: boolean;
}

/** One byte of a mirror's copy is wrong. */
export async function repairCost(root: string, note: (text: string) => void): Promise<MeasuredFigure[]> {
  const figures: MeasuredFigure[] = [];
  for (const { what, filename, sizeBytes, from, sha1, saysWhere } of [
    await bzip2File(root),
    gzipFile(root),
    silentFile(),
  ]) {
    for (const [place, share] of Object.entries(PLACES)) {
      note(`1 GB from a mirror that lies at one byte of ${what}, at its ${place}`);
      const lieAt = Math.round(share * sizeBytes);
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
            name: `segments of 1 GB that travel again for one wrong byte at the ${place}, ${what}`,
            ...{ unit: 'segments', better: 'low', ours: [againBytes / SEGMENT_BYTES] },
            ...(saysWhere ? { target: { of: 'worst', bound: '<= 1' } } : {}),
          }),
        );
      } finally {
        origin.stop();
        mirror.stop();
      }
    }
  }
  return figures;
}

/** Many streams, as those of the multistream dumps. */
async function bzip2File(root: string): Promise<Kind> {
  const bzip2 = await loadBzip2();
  const stream = Buffer.concat([...bzip2Stream([bzip2.block(noise.subarray(0, 800_000))])]);
  const path = join(root, 'stream.bz2');
  writeFileSync(path, stream);
  const copies = Math.round(LIE_BYTES / stream.length);
  return {
    ...{ what: 'a bzip2 file', filename: 'aawiki-20261120-pages-articles.xml.bz2', from: [path] },
    ...{ sizeBytes: copies * stream.length, sha1: repeatedSha1(stream, copies), saysWhere: true },
  };
}

/** One member with one checksum at its end, as upstream makes them; inside the same words again and again. */
function gzipFile(root: string): Kind {
  const text = Buffer.from(
    Array.from({ length: 2e6 }, (_, at) => `word${(noise[(at * 7) % noise.length] ?? 0) * (at % 13)} `).join(
      '',
    ),
  );
  const unit = deflateRawSync(text, { finishFlush: constants.Z_FULL_FLUSH });
  const copies = Math.round(LIE_BYTES / unit.length);
  let sum = 0;
  for (let copy = 0; copy < copies; copy += 1) sum = crc32(text, sum);
  const head = Buffer.from('1f8b0800000000000003', 'hex');
  // The last block, which is empty, then checksum and length.
  const tail = Buffer.concat([Buffer.from('010000ffff', 'hex'), Buffer.alloc(8)]);
  tail.writeUInt32LE(sum, 5);
  tail.writeUInt32LE((text.length * copies) % 2 ** 32, 9);
  const paths = { unit: join(root, 'unit'), head: join(root, 'head'), tail: join(root, 'tail') };
  writeFileSync(paths.unit, unit);
  writeFileSync(paths.head, head);
  writeFileSync(paths.tail, tail);
  const hash = createHash('sha1').update(head);
  for (let copy = 0; copy < copies; copy += 1) hash.update(unit);
  return {
    ...{ what: 'a gzip file', filename: 'aawiki-20261120-stub-articles.xml.gz' },
    ...{ from: [paths.unit, paths.head, paths.tail], saysWhere: false },
    ...{ sizeBytes: head.length + copies * unit.length + tail.length, sha1: hash.update(tail).digest('hex') },
  };
}

/** What is in it is of no concern: it is not looked at. */
function silentFile(): Kind {
  const sizeBytes = Math.round(LIE_BYTES / BLOCK_BYTES) * BLOCK_BYTES;
  return {
    ...{ what: 'a file that says nothing of itself', filename: 'aawiki-20261120-pages-articles.xml.7z' },
    ...{ sizeBytes, from: [], sha1: contentSha1(sizeBytes), saysWhere: false },
  };
}
