import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** One published file of a run with its true hashes (lower-case hex). */
export interface PublishedFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly md5: string;
  readonly sha1: string;
}

/** A job of a run: done with files, or skipped without. `updated` is `YYYY-MM-DD HH:MM:SS` in UTC. */
export interface RunJob {
  readonly name: string;
  readonly status: 'done' | 'skipped';
  readonly updated: string;
  readonly files: readonly PublishedFile[];
}

/** Collects the parts of one file; see {@link writeRunFile}. */
export type PartWriter = (data: Buffer) => Promise<void>;

/** Writes go to disk in pieces of this size: small parts would cost one system call each. */
const BUFFER_BYTES = 1 << 20;

/**
 * Writes one file of a run and hashes it on the way.
 * @param produce hands over the parts; it may return a header that belongs to the start of the file, for which it
 *   then must have left out exactly `headerBytes` bytes
 */
export async function writeRunFile(
  path: string,
  modifiedAt: Date,
  produce: (write: PartWriter) => Promise<Buffer | undefined>,
  headerBytes = 0,
): Promise<PublishedFile> {
  const file = await open(path, 'w+');
  try {
    const sink = partSink(file, headerBytes);
    const header = await produce(sink.write);
    await sink.flush();
    if (header) await file.write(header, 0, header.length, 0);
    const hashes = header ? await hashFile(file, sink.position()) : sink.digest();
    await file.utimes(modifiedAt, modifiedAt);
    return { name: path.slice(path.lastIndexOf('/') + 1), sizeBytes: sink.position(), ...hashes };
  } finally {
    await file.close();
  }
}

function partSink(file: FileHandle, headerBytes: number) {
  const md5 = createHash('md5');
  const sha1 = createHash('sha1');
  let [buffer, spare] = [Buffer.allocUnsafe(BUFFER_BYTES), Buffer.allocUnsafe(BUFFER_BYTES)];
  let used = 0;
  let position = headerBytes;
  let written: Promise<unknown> = Promise.resolve();
  /** Starts writing one buffer while the other one is filled: this thread hashes in the meantime. */
  const swap = async (): Promise<void> => {
    await written;
    const data = buffer.subarray(0, used);
    written = file.write(data, 0, used, position);
    // Awaited by the next swap or the final flush.
    written.catch(() => undefined);
    if (headerBytes === 0) {
      md5.update(data);
      sha1.update(data);
    }
    position += used;
    used = 0;
    [buffer, spare] = [spare, buffer];
  };
  const flush = async (): Promise<void> => {
    if (used > 0) await swap();
    await written;
  };
  return {
    flush,
    position: () => position,
    digest: () => ({ md5: md5.digest('hex'), sha1: sha1.digest('hex') }),
    write: async (data: Buffer): Promise<void> => {
      for (let at = 0; at < data.length; ) {
        const copied = data.copy(buffer, used, at);
        used += copied;
        at += copied;
        if (used === BUFFER_BYTES) await swap();
      }
    },
  };
}

/** Reads a file back for its hashes: needed where the first bytes are known last. */
async function hashFile(file: FileHandle, sizeBytes: number): Promise<{ md5: string; sha1: string }> {
  const md5 = createHash('md5');
  const sha1 = createHash('sha1');
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  for (let at = 0; at < sizeBytes; ) {
    const { bytesRead } = await file.read(buffer, 0, BUFFER_BYTES, at);
    md5.update(buffer.subarray(0, bytesRead));
    sha1.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return { md5: md5.digest('hex'), sha1: sha1.digest('hex') };
}

/** gzip with the operating system byte fixed, so that the same text gives the same file everywhere. */
export function gzipText(text: string): Buffer {
  const data = gzipSync(text, { level: 6 });
  data[9] = 3;
  return data;
}

interface StatusOptions {
  /** Folder of the run. */
  folder: string;
  dbname: string;
  date: string;
  jobs: readonly RunJob[];
}

/** Writes what describes a run: dumpstatus, sums, report, dumpruninfo and the page for people. */
export async function writeRunDescription({ folder, dbname, date, jobs }: StatusOptions): Promise<void> {
  await mkdir(folder, { recursive: true });
  const latest =
    jobs
      .map((job) => job.updated)
      .toSorted()
      .at(-1) ?? '';
  const modifiedAt = new Date(`${latest.replace(' ', 'T')}Z`);
  const put = async (name: string, text: string): Promise<void> => {
    await writeFile(join(folder, name), text);
    await utimes(join(folder, name), modifiedAt, modifiedAt);
  };
  const byJob = (map: (job: RunJob) => unknown): Record<string, unknown> =>
    Object.fromEntries(jobs.map((job) => [job.name, map(job)]));
  const address = (file: PublishedFile): { size: number; url: string } => ({
    size: file.sizeBytes,
    url: `/${dbname}/${date}/${file.name}`,
  });
  const files = (job: RunJob, more: (file: PublishedFile) => object): object =>
    job.status === 'done'
      ? { files: Object.fromEntries(job.files.map((f) => [f.name, { ...address(f), ...more(f) }])) }
      : {};
  const head = (job: RunJob): object => ({ status: job.status, updated: job.updated });
  const json = (jobs: unknown): string => JSON.stringify({ jobs, version: '0.8' });
  const status = json(byJob((job) => ({ ...head(job), ...files(job, ({ md5, sha1 }) => ({ md5, sha1 })) })));
  await put('dumpruninfo.json', json(byJob(head)));
  await put(
    'dumpruninfo.txt',
    jobs.map((job) => `name:${job.name}; status:${job.status}; updated:${job.updated}\n`).join(''),
  );
  await put('report.json', json(byJob((job) => files(job, () => ({})))));
  const published = jobs.flatMap((job) => job.files);
  for (const algorithm of ['md5', 'sha1'] as const) {
    const sums = Object.fromEntries(published.map((file) => [file.name, file[algorithm]]));
    await put(
      `${dbname}-${date}-${algorithm}sums.txt`,
      published.map((f) => `${f[algorithm]}  ${f.name}\n`).join(''),
    );
    await put(`${dbname}-${date}-${algorithm}sums.json`, JSON.stringify({ [algorithm]: { files: sums } }));
  }
  await put('index.html', statusPage(dbname, date, jobs));
  // Last, because its presence says that the run is there.
  await put('dumpstatus.json', status);
}

function statusPage(dbname: string, date: string, jobs: readonly RunJob[]): string {
  const items = jobs.map((job) => {
    const files = job.files.map(
      (f) => `<li class='file'><a href="/${dbname}/${date}/${f.name}">${f.name}</a> ${f.sizeBytes}</li>`,
    );
    return `<li class='${job.status}'><span class='updates'>${job.updated}</span> <span class='status'>${job.status}</span> <span class='title'>${job.name}</span><ul>${files.join('')}</ul></li>`;
  });
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${dbname} dump progress on ${date}</title></head>
<body><h1>${dbname} dump progress on ${date}</h1><p class="status"><span class='done'>Dump complete</span></p>
<ul>
${items.join('\n')}
</ul></body></html>
`;
}
