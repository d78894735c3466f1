import type { ExpectedFile, RunNotice } from '../catalog/index.ts';
import { type Choice, chooseForm } from './choose-form.ts';
import { type Candidate, classifyFiles, pathOf, wantedTypes } from './classify-files.ts';
import { type DumpStatus, isRunFinished, parseUpdated } from './dump-status.ts';
import {
  type Begun,
  type FileDecision,
  NOTHING_BEGUN,
  type RunDecision,
  type RunId,
  type Selection,
} from './source.ts';

/**
 * Judges every file that a classic run lists, by dump type and by file name. Pure.
 * @param baseUrl root of the dump site, without a slash at its end
 * @param begun what we have of the run already
 */
export function decideFiles(
  status: DumpStatus,
  run: RunId,
  selection: Selection,
  baseUrl: string,
  begun: Begun = NOTHING_BEGUN,
): RunDecision {
  const isFinished = isRunFinished(status);
  const classified = classifyFiles(status, run, selection);
  const byType = new Map<string, Candidate[]>();
  for (const { candidate } of classified) {
    if (candidate === null) continue;
    const group = byType.get(candidate.dumpType);
    if (group === undefined) byType.set(candidate.dumpType, [candidate]);
    else group.push(candidate);
  }
  const verdicts: Choice['verdicts'] = new Map();
  const notices: RunNotice[] = [];
  for (const dumpType of [...wantedTypes(selection)].sort()) {
    const choice = chooseForm(dumpType, byType.get(dumpType) ?? [], status, {
      ...{ selection, isFinished, begun },
    });
    for (const [file, verdict] of choice.verdicts) verdicts.set(file, verdict);
    if (choice.notice !== null) notices.push({ dumpType, ...choice.notice });
  }
  const files: FileDecision[] = [];
  const refused: RunDecision['refused'] = [];
  for (const found of classified) {
    const { candidate, facts } = found;
    const { filename, dumpType } = candidate ?? found;
    const url = facts.url === pathOf(filename, run) ? `${baseUrl}${facts.url}` : null;
    const common = { filename, dumpType, sizeBytes: facts.size, url };
    if (candidate === null) {
      files.push({ ...common, action: 'skip', reason: found.reason });
      // Of no dump type that we know: its own row says why, and nothing configured is lacking.
      if (found.isRefused) refused.push({ filename, reason: found.reason.slice('refused: '.length) });
      continue;
    }
    if (candidate.isRefused) refused.push({ filename, reason: candidate.why.slice('refused: '.length) });
    const { action, reason } = verdicts.get(candidate) as { action: FileDecision['action']; reason: string };
    if (action === 'take')
      files.push({ ...common, action, reason, file: expectedFile(candidate, run, selection, baseUrl) });
    else files.push({ ...common, action, reason });
  }
  const mayChange = notices.some(({ kind }) => kind === 'failed' || kind === 'lacking');
  return { files, notices, isFinished, mayChange, refused };
}

function expectedFile(
  { filename, dumpType, facts, job }: Candidate,
  run: RunId,
  selection: Selection,
  baseUrl: string,
): ExpectedFile {
  return {
    dumpType,
    filename,
    isHistory: !selection.regularTypes.includes(dumpType),
    sizeBytes: facts.size as number,
    hashes: {
      ...(facts.md5 === null ? {} : { md5: facts.md5 }),
      ...(facts.sha1 === null ? {} : { sha1: facts.sha1 }),
    },
    wikimediaUrl: `${baseUrl}${pathOf(filename, run)}`,
    wikimediaStatus: job.status,
    wikimediaDate: parseUpdated(job.updated),
  };
}
