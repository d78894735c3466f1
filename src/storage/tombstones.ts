import type { GoldenVerdict } from './golden-rule.ts';
import type { RemovedSet } from './prune-plan.ts';

/** The facts that allowed a deletion, kept with its tombstone as JSON. */
export interface DeletionEvidence {
  rule: string;
  /** The newer run of the same wiki, source and dump type that stays. */
  newer: { source: string; runDate: string; dumpType: string; files: number; sizeBytes: number };
  /** The copies that the golden rule found. */
  copies: {
    wikiDbName: string;
    source: string;
    runDate: string;
    dumpType: string;
    where: 'disk' | 'internet_archive';
    files: number;
  }[];
  /** Epoch ms of the last time the Internet Archive's metadata agreed about this very file; null = never. */
  archivedAt: number | null;
}

/** What is written down of one file of a set that goes. */
export function evidenceOf(set: RemovedSet, file: { archivedAt: number | null }): DeletionEvidence {
  const { newer } = set;
  return {
    rule: set.rule,
    newer: {
      source: newer.source,
      runDate: newer.runDate,
      dumpType: newer.dumpType,
      files: newer.heldFiles,
      sizeBytes: newer.heldBytes,
    },
    copies: set.copies.map(({ ids, ...copy }) => ({ ...copy, files: ids.length })),
    archivedAt: file.archivedAt,
  };
}

/**
 * carry_out: its names are removed; finish: they are gone already, only the table lacks it; take_back: the file counts as
 * held again; forget: its row moved on, the tombstone says what is not so.
 */
export type OpenDeletionStep = 'carry_out' | 'finish' | 'take_back' | 'forget';

/**
 * What becomes of a deletion that was decided and not recorded as done: the process died between. Pure.
 * @param facts.isDeleted the file's row says that it is deleted
 * @param facts.names how many of its names are there, under `dumps/` and in the folders of torrents
 * @param facts.verdict the golden rule's, asked again
 */
export function openDeletionStep(facts: {
  isDeleted: boolean;
  names: number;
  verdict: GoldenVerdict;
}): OpenDeletionStep {
  if (!facts.isDeleted) return 'forget';
  if (facts.names === 0) return 'finish';
  return facts.verdict.isAllowed ? 'carry_out' : 'take_back';
}
