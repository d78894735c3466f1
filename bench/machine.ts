import { statfsSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os';
import Database from 'better-sqlite3';
import { VERSION } from '../src/version.ts';

/** Facts that decide how figures compare; nothing that names the machine or its owner. */
export interface Machine {
  platform: string;
  architecture: string;
  processor: string;
  cores: number;
  memoryGib: number;
  /** Of the folder for temporary files, where every benchmark works. */
  fileSystem: string;
  /** Processes that wanted a core in the minute before; well above 0 means that the figures had company. */
  loadBefore: number;
}

/** Magic numbers of statfs(2). */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  16914836: 'tmpfs (memory)',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  2035054128: 'overlay',
};

/** This machine, as it is before a benchmark begins. */
export function readMachine(): Machine {
  const { type } = statfsSync(tmpdir());
  return {
    platform: process.platform,
    architecture: process.arch,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    fileSystem: FILE_SYSTEMS[type] ?? `type 0x${type.toString(16)}`,
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

/** WikiSeed, Node and the SQLite that better-sqlite3 carries. */
export function readVersions(): Record<string, string> {
  const sqlite = new Database(':memory:');
  try {
    return {
      wikiseed: VERSION,
      node: process.versions.node,
      sqlite: sqlite.prepare<[], string>('SELECT sqlite_version()').pluck().get() ?? 'unknown',
    };
  } finally {
    sqlite.close();
  }
}

/** Node's flags of a process that stands for the program: those of the unit file, and the built program instead of its sources. */
export const PROGRAM_FLAGS = [
  ...['--max-semi-space-size=2', '--heap-growing-percent=20'],
  ...['--import', new URL('./built.js', import.meta.url).href],
];
