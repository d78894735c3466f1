import type { MeasuredFigure } from './figure.ts';

/** What a running benchmark is given. */
export interface BenchTools {
  /** An empty folder of its own, removed afterwards. */
  folder: string;
  /** Says on standard error what goes on, since building up a million rows takes a while. */
  note(text: string): void;
}

/** What a benchmark found. */
export interface BenchResult {
  figures: MeasuredFigure[];
  /** Versions of peers that took part, by name. */
  versions?: Readonly<Record<string, string>>;
}

/** The one export of a `bench/<subject>.bench.ts`. */
export interface BenchModule {
  run(tools: BenchTools): Promise<BenchResult>;
}

/** A known benchmark; `load` is null while nothing measures it. */
export interface BenchEntry {
  question: string;
  load: (() => Promise<BenchModule>) | null;
}

/** The benchmarks of bench/README.md by name. Loaded on demand: listing them needs no database. */
export const BENCHMARKS: Readonly<Record<string, BenchEntry>> = {
  download: {
    question: 'How long do download, check and piece hashes of 2 GiB take?',
    load: () => import('./download.bench.ts'),
  },
  storage: {
    question:
      'How long does a prune plan over 400,000 files and 50 torrents take, and does anybody wait for it?',
    load: () => import('./storage.bench.ts'),
  },
  torrent: {
    question:
      'How fast are a torrent of downloaded files, and piece hashes of a file on disk, next to mktorrent?',
    load: () => import('./torrent.bench.ts'),
  },
  seeding: {
    question: 'How fast are 2 GiB given to one client, and how soon are 3 TB in 30,000 files served?',
    load: () => import('./seeding.bench.ts'),
  },
  queue: {
    question: 'How many jobs per second, and does a million waiting jobs make one dearer?',
    load: () => import('./queue.bench.ts'),
  },
  backup: {
    question: 'Does an online backup of 100 MB delay jobs?',
    load: () => import('./backup.bench.ts'),
  },
  discovery: {
    question: 'What do the status files of 1,000 wikis cost in time, memory and blocked loop?',
    load: () => import('./discovery.bench.ts'),
  },
  page: {
    question: 'How fast is the overview page over a large database?',
    load: () => import('./page.bench.ts'),
  },
};
