import { statfsSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
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
}

/** Magic numbers of statfs(2). */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61_267: 'ext4',
  16_914_836: 'tmpfs (memory)',
  1_481_003_842: 'xfs',
  2_435_016_766: 'btrfs',
  2_035_054_128: 'overlay',
};

/** This machine. */
export function readMachine(): Machine {
  const { type } = statfsSync(tmpdir());
  return {
    platform: process.platform,
    architecture: process.arch,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    fileSystem: FILE_SYSTEMS[type] ?? `type 0x${type.toString(16)}`,
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
