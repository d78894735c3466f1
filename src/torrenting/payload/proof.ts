import type { DumpFile, HashAlgorithm } from '../../catalog/index.ts';

/** The hash of upstream's that proved a file; null when only its container was checked. */
export function provedBy(dump: Pick<DumpFile, 'verification'>): HashAlgorithm | null {
  switch (dump.verification) {
    case 'sha1':
    case 'md5':
      return dump.verification;
    case 'sha256-upstream':
      return 'sha256';
    default:
      return null;
  }
}

/** Hashes as they are written for people. */
export const HASH_NAMES: Readonly<Record<HashAlgorithm, string>> = {
  md5: 'MD5',
  sha1: 'SHA-1',
  sha256: 'SHA-256',
};

/** Families of dumps as they are written for people. */
export const SOURCE_NAMES: Readonly<Record<DumpFile['source'], string>> = {
  classic: 'classic dump',
  content_current: 'content export, current',
  content_history: 'content export, history',
};
