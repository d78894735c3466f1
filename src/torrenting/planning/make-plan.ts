import type { TorrentGap } from '../../catalog/index.ts';
import { PermanentError } from '../../lib/index.ts';
import type { LeftOutFile } from '../payload/content.ts';
import { type PayloadFile, planPayload } from '../payload/payload.ts';
import { selectFiles } from '../select-files.ts';
import type { Selection, SelectionCatalog, SelectionOptions } from '../selection.ts';

/** Which torrent, and the settings that decide what it is made of. JSON-safe. */
export type PlanInput = Omit<SelectionOptions, 'catalog'>;

/** What the torrent holds beside what is told here: its files, and their texts. */
export interface PayloadPlan {
  /** In byte order of the path. */
  files: PayloadFile[];
  leftOut: LeftOutFile[];
  gaps: TorrentGap[];
}

/** A refusal that is told only once nobody waits for lost files any more. */
export interface PlanRefusal {
  code: string;
  message: string;
  hint: string | undefined;
}

/** Everything that goes into a torrent, from one state of the catalog. */
export interface TorrentPlan {
  /** `included` is empty where `payload` says what is in it. */
  selection: Selection;
  /** null: refused, or to be unpacked first. */
  payload: PayloadPlan | null;
  refusal: PlanRefusal | null;
}

/**
 * Selects the files and writes the texts; synchronous, a second for 30,000 files.
 * @throws PermanentError `nothing_to_supplement`
 */
export function makePlan(catalog: SelectionCatalog, input: PlanInput): TorrentPlan {
  const selection = selectFiles({ ...input, catalog });
  if (selection.variant === 'uncompressed') return { selection, payload: null, refusal: null };
  const rest = { ...selection, included: [] };
  try {
    return { selection: rest, payload: planPayload(selection), refusal: null };
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    return { selection: rest, payload: null, refusal: refusalOf(error) };
  }
}

/** What a thread can tell of an error. */
export function refusalOf({ code, message, hint }: PermanentError): PlanRefusal {
  return { code, message, hint };
}

/** The error that was told. */
export function refused({ code, message, hint }: PlanRefusal): PermanentError {
  return new PermanentError(code, message, hint === undefined ? {} : { hint });
}
