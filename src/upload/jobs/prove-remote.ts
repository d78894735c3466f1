import { z } from 'zod';
import type { ArchivedFile, Catalog } from '../../catalog/index.ts';
import type { Bus } from '../../events/index.ts';
import { DumpFileId, minutes } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import { itemKey } from '../ia-item.ts';
import { type ArchiveReader, fileStateIn, type ItemState } from '../ia-metadata.ts';

const Input = z.object({ identifier: z.string(), wikiDbName: z.string(), runDate: z.string() });
const Output = z.object({
  /** The archive's metadata agrees. */
  proved: z.array(DumpFileId),
  /** It lacks the file, or lists another one. */
  lied: z.array(z.object({ dumpId: DumpFileId, reason: z.string() })),
  /** It says nothing that counts: a task of the item is under way. */
  unsure: z.number().int().nonnegative(),
});
type Input = z.infer<typeof Input>;
type Output = z.infer<typeof Output>;

/** Whether held files have to be sent again; told to the follow-ups. */
export interface ProvedItem {
  /** Held files that the archive turned out not to have. */
  toUpload: { dumpFileId: DumpFileId; cycleDate: string }[];
}

/** Asks the Internet Archive again whether it has what it had: a proof that is old counts for nothing. One item at a time. */
export const proveRemote = defineJob<Input, Output>({
  type: 'prove_remote',
  input: Input,
  output: Output,
  uniqueKey: ({ identifier }) => identifier,
  target: 'internet_archive',
  timeoutMs: minutes(30),
  // Uploads go first: they make copies, this only counts them.
  priority: 200,
});

/** The behaviour of `prove_remote`. A copy that is not there any more is disbelieved at once, told, and sent again. */
export function handleProveRemote(deps: {
  catalog: Pick<Catalog, 'archivedFiles' | 'recordRemoteProof' | 'recordRemoteLie'>;
  reader: Pick<ArchiveReader, 'item'>;
  bus: Pick<Bus, 'emit'>;
}): JobHandler<Input, Output> {
  const { catalog, reader, bus } = deps;
  const filesOf = ({ identifier, ...run }: Input): ArchivedFile[] =>
    catalog.archivedFiles({ iaIdentifier: identifier, ...run });
  return handleJob(proveRemote, {
    async run(input, context) {
      const files = filesOf(input);
      const output: Output = { proved: [], lied: [], unsure: 0 };
      if (files.length === 0) return output;
      const item = await reader.item(input.identifier, context.signal);
      for (const file of files) {
        const lie = lieOf(item, file);
        if (lie === 'unsure') output.unsure += 1;
        else if (lie === null) output.proved.push(file.id);
        else output.lied.push({ dumpId: file.id, reason: lie });
      }
      step('upload:proved_again');
      return output;
    },
    record(input, output): ProvedItem {
      const { identifier, wikiDbName } = input;
      const files = new Map(filesOf(input).map((file) => [file.id, file]));
      for (const id of output.proved) catalog.recordRemoteProof(id);
      const lost = output.lied.flatMap(({ dumpId, reason }) => {
        const file = files.get(dumpId);
        return file !== undefined && catalog.recordRemoteLie(dumpId, reason) ? [{ file, reason }] : [];
      });
      const key = `remote_copy:${identifier}`;
      if (lost.length === 0) {
        if (output.proved.length > 0) bus.emit('alert:resolved', { key });
        return { toUpload: [] };
      }
      const held = lost.filter(({ file }) => file.isHeld);
      bus.emit('alert:raised', {
        key,
        severity: 'error',
        message: `the Internet Archive does not have ${lost.length} files of ${wikiDbName} any more that it had: ${lost[0]?.reason}`,
        hint:
          held.length === lost.length
            ? `They are held here and are sent again. Look at the item ${identifier}.`
            : `${held.length} of them are held here and are sent again; the others are only in torrents, if at all. Look at the item ${identifier}.`,
      });
      return { toUpload: held.map(({ file }) => ({ dumpFileId: file.id, cycleDate: file.cycleDate })) };
    },
    summarize: ({ proved, lied, unsure }) => ({ proved: proved.length, lied: lied.length, unsure }),
  });
}

/** null = it agrees; pure. */
function lieOf(item: ItemState, file: ArchivedFile): string | 'unsure' | null {
  const { filename, md5, sha1, sizeBytes } = file;
  // Our own hashes went with a copy that was lost: there is nothing to compare.
  if (md5 === null || sha1 === null) return 'unsure';
  if (item.isDark) return 'the item was taken down';
  if (!item.exists) return 'the item does not exist';
  const state = fileStateIn(item, { key: itemKey(file), md5, sha1, sizeBytes });
  if (state === 'verified') return null;
  if (item.hasTasks) return 'unsure';
  if (state === 'absent') return `${filename} is not listed`;
  return `${filename} is listed with another size or hash`;
}
