import type { ContentFile } from './content.ts';
import { header, lines, stableJson } from './header.ts';

/** The lists a volunteer checks files with: HASH.json, HASH.txt, checksums.txt. */
export function hashFiles(cycleDate: string, files: readonly ContentFile[]): Record<string, string> {
  return {
    'HASH.json': hashJson(cycleDate, files),
    'HASH.txt': hashText(cycleDate, files),
    'checksums.txt': checksums(cycleDate, files),
  };
}

const ALGORITHMS = [
  { label: 'SHA256', column: 'sha256', title: 'SHA-256, computed by WikiSeed from the verified bytes' },
  { label: 'SHA1', column: 'sha1', title: 'SHA-1, which Wikimedia publishes too' },
  { label: 'MD5', column: 'md5', title: 'MD5, which Wikimedia publishes too' },
] as const;

function hashJson(cycleDate: string, files: readonly ContentFile[]): string {
  return stableJson({
    cycleDate,
    files: files.map(({ dump, path, upstreamUrl }) => ({
      path,
      filename: dump.filename,
      wiki: dump.wikiDbName,
      project: dump.project,
      language: dump.language,
      dumpType: dump.dumpType,
      runDate: dump.runDate,
      sizeBytes: dump.sizeBytes,
      md5: dump.md5,
      sha1: dump.sha1,
      sha256: dump.sha256,
      verifiedBy: dump.verification,
      upstreamUrl,
    })),
  });
}

/** Both `sha256sum -c` of GNU and `shasum -c` of Perl read the lines of their own length and pass over the rest. */
function hashText(cycleDate: string, files: readonly ContentFile[]): string {
  return lines(
    header('Hashes', cycleDate),
    '#',
    '# How to check the files: open a terminal in the folder that holds this file, then',
    '#   Linux    sha256sum -c HASH.txt       (or sha1sum -c HASH.txt, md5sum -c HASH.txt)',
    '#   macOS    shasum -a 256 -c HASH.txt',
    '#   Windows  Get-FileHash -Algorithm SHA256 <file>, and compare with the line below',
    '# Each file must be answered with OK. Each program reads only the lines of its own kind and may',
    '# warn that the others are "improperly formatted": that is expected.',
    '# A single file: compute its hash with any program and look for it here.',
    ALGORITHMS.flatMap(({ column, title }) => [
      '',
      `# ${title}`,
      ...files.flatMap(({ dump, path }) => (dump[column] === null ? [] : [`${dump[column]}  ${path}`])),
    ]),
  );
}

/** BSD-like lines, `SHA1(name)= hex`; GNU md5sum, sha1sum and sha256sum read them with `-c`. */
function checksums(cycleDate: string, files: readonly ContentFile[]): string {
  return lines(
    header('Checksums', cycleDate),
    '# Check: sha1sum -c checksums.txt (or md5sum, sha256sum); each reads the lines of its own kind.',
    files.flatMap(({ dump, path }) => [
      '',
      ...(['SHA1', 'MD5', 'SHA256'] as const).flatMap((label) => {
        const column = ALGORITHMS.find((algorithm) => algorithm.label === label)!.column;
        return dump[column] === null ? [] : [`${label}(${path})= ${dump[column]}`];
      }),
    ]),
  );
}
