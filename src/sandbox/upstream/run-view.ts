import { rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTime } from '../folder-times.ts';
import type { RunFileState, RunJobState, RunState, StatusDocument, StatusFile } from './run-state.ts';

/** The status document of a run as it stands. */
export function statusDocumentOf(state: RunState): StatusDocument {
  const jobs = state.jobs.map((job) => {
    const head = { status: job.status, updated: job.updated };
    const files = job.files.map((file) => [file.name, fileFacts(state, file)] as const);
    return [job.name, job.hasFiles ? { ...head, files: Object.fromEntries(files) } : head] as const;
  });
  return { jobs: Object.fromEntries(jobs), version: '0.8' };
}

function fileFacts(state: RunState, file: RunFileState): StatusFile {
  if (file.view === 'blank') return {};
  if (file.view === 'size') return { size: file.sizeSoFar };
  const hashes = (['md5', 'sha1'] as const).flatMap((algorithm) => {
    const hash = file[algorithm];
    return hash === null || file.hiddenInStatus.includes(algorithm) ? [] : [[algorithm, hash] as const];
  });
  return {
    size: file.sizeBytes,
    url: `/${state.dbname}/${state.date}/${file.name}`,
    ...Object.fromEntries(hashes),
  };
}

/**
 * Writes everything that describes a run, as upstream does after each step: the sums lists, the short forms, the page for
 * people, and `dumpstatus.json` last. Every file takes its old one's place at once and gets a later time, so that its
 * validators change.
 * @param document what `dumpstatus.json` is to say; usually {@link statusDocumentOf}
 * @returns the time the run now bears
 */
export async function writeRunView(
  root: string,
  state: RunState,
  document: StatusDocument,
  nowMs: number,
): Promise<Date> {
  const { dbname, date } = state;
  const folder = join(root, dbname, date);
  const time = await laterThan(join(folder, 'dumpstatus.json'), nowMs);
  const put = async (name: string, text: string): Promise<void> => {
    await writeFile(join(folder, `.${name}.new`), text);
    await setTime(join(folder, `.${name}.new`), time);
    await rename(join(folder, `.${name}.new`), join(folder, name));
  };
  const listed = state.jobs.flatMap((job) => (job.hasFiles ? job.files : []));
  const json = (map: (job: RunJobState) => object): string =>
    JSON.stringify({
      jobs: Object.fromEntries(state.jobs.map((job) => [job.name, map(job)])),
      version: '0.8',
    });
  for (const algorithm of ['md5', 'sha1'] as const) {
    const sums = listed.flatMap((file) => {
      const hash = file[algorithm];
      if (file.view !== 'whole' || hash === null || file.hiddenInSums.includes(algorithm)) return [];
      return [[file.name, hash] as const];
    });
    const name = `${dbname}-${date}-${algorithm}sums`;
    await put(`${name}.txt`, sums.map(([file, hash]) => `${hash}  ${file}\n`).join(''));
    await put(`${name}.json`, JSON.stringify({ [algorithm]: { files: Object.fromEntries(sums) } }));
  }
  await put(
    'dumpruninfo.json',
    json(({ status, updated }) => ({ status, updated })),
  );
  await put(
    'dumpruninfo.txt',
    state.jobs.map((job) => `name:${job.name}; status:${job.status}; updated:${job.updated}\n`).join(''),
  );
  await put('index.html', runPage(state));
  await put('dumpstatus.json', JSON.stringify(document));
  await setTime(folder, time);
  return time;
}

/** The given time, or a second after that of the file: a change that keeps both time and size would not be seen. */
export async function laterThan(path: string, nowMs: number): Promise<Date> {
  const known = await stat(path).catch(() => null);
  return new Date(Math.max(nowMs, (known?.mtimeMs ?? 0) + 1000));
}

function runPage({ dbname, date, jobs }: RunState): string {
  const items = jobs.map((job) => {
    const files = job.files.map(({ name, view, sizeBytes }) =>
      view === 'whole'
        ? `<li class='file'><a href="/${dbname}/${date}/${name}">${name}</a> ${sizeBytes}</li>`
        : `<li class='missing'>${name}</li>`,
    );
    return `<li class='${job.status}'><span class='updates'>${job.updated}</span> <span class='status'>${job.status}</span> <span class='title'>${job.name}</span><ul>${files.join('')}</ul></li>`;
  });
  const isComplete = jobs.every((job) => ['done', 'failed', 'skipped'].includes(job.status));
  const words = isComplete ? 'Dump complete' : 'Dump in progress';
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${dbname} dump progress on ${date}</title></head>
<body><h1>${dbname} dump progress on ${date}</h1><p class="status"><span class='${isComplete ? 'done' : 'in-progress'}'>${words}</span></p>
<ul>
${items.join('\n')}
</ul></body></html>
`;
}
