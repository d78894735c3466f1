/** Where a cycle stands, counted from the tables. */
export interface CycleProgress {
  isScanned: boolean;
  runsTotal: number;
  runsUnfinished: number;
  filesExpected: number;
  filesSettled: number;
  filesFailed: number;
  filesHeld: number;
  /** In a torrent. */
  filesIncluded: number;
  /** Held, and seen at the Internet Archive. */
  filesArchived: number;
  filesDeleted: number;
  bytesExpected: number;
  bytesHeld: number;
}
