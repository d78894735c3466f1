import type { DumpFile, HashAlgorithm } from '../../catalog/index.ts';
import type { ContentFile } from './content.ts';
import { header, lines, type PayloadVersion, stableJson } from './header.ts';
import { HASH_NAMES, provedBy, SOURCE_NAMES } from './proof.ts';

type Facts = { cycleDate: string; payloadVersion: PayloadVersion };

/** The lists a volunteer checks files with: HASH.json, HASH.txt, checksums.txt. */
export function hashFiles(facts: Facts, files: readonly ContentFile[]): Record<string, string> {
  return {
    'HASH.json': hashJson(facts, files),
    'HASH.txt': hashText(facts, files),
    'checksums.txt': checksums(facts, files),
  };
}

const ALGORITHMS = [
  {
    label: 'SHA256',
    column: 'sha256',
    titles: {
      '1.0': 'SHA-256, computed by WikiSeed from the verified bytes',
      '1.1':
        'SHA-256, computed by WikiSeed from the verified bytes; of content exports Wikimedia publishes it too',
    },
  },
  {
    label: 'SHA1',
    column: 'sha1',
    titles: {
      '1.0': 'SHA-1, which Wikimedia publishes too',
      '1.1': 'SHA-1, computed by WikiSeed; of classic dumps Wikimedia publishes it too',
    },
  },
  {
    label: 'MD5',
    column: 'md5',
    titles: {
      '1.0': 'MD5, which Wikimedia publishes too',
      '1.1': 'MD5, computed by WikiSeed; of classic dumps Wikimedia publishes it too',
    },
  },
] as const;

function hashJson({ cycleDate, payloadVersion }: Facts, files: readonly ContentFile[]): string {
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
      ...(payloadVersion === '1.0' ? {} : { source: dump.source, upstreamHash: upstreamHash(dump) }),
    })),
  });
}

/** What Wikimedia published when the file was proved; it equals ours. */
function upstreamHash(dump: DumpFile): { algorithm: HashAlgorithm; value: string } | null {
  const algorithm = provedBy(dump);
  const value = algorithm === null ? null : dump[algorithm];
  return algorithm === null || value === null ? null : { algorithm, value };
}

/** Both `sha256sum -c` of GNU and `shasum -c` of Perl read the lines of their own length and pass over the rest. */
function hashText(facts: Facts, files: readonly ContentFile[]): string {
  return lines(
    header('Hashes', facts),
    '#',
    '# How to check the files: open a terminal in the folder that holds this file, then',
    '#   Linux    sha256sum -c HASH.txt       (or sha1sum -c HASH.txt, md5sum -c HASH.txt)',
    '#   macOS    shasum -a 256 -c HASH.txt',
    '#   Windows  Get-FileHash -Algorithm SHA256 <file>, and compare with the line below',
    '# Each file must be answered with OK. Each program reads only the lines of its own kind and may',
    '# warn that the others are "improperly formatted": that is expected.',
    '# A single file: compute its hash with any program and look for it here.',
    facts.payloadVersion === '1.0' ? [] : proofLines(files),
    ALGORITHMS.flatMap(({ column, titles }) => [
      '',
      `# ${titles[facts.payloadVersion === '1.0' ? '1.0' : '1.1']}`,
      ...files.flatMap(({ dump, path }) => (dump[column] === null ? [] : [`${dump[column]}  ${path}`])),
    ]),
  );
}

/** Which of the hashes below are more than our word. */
function proofLines(files: readonly ContentFile[]): string[] {
  const counts = (['sha1', 'md5', 'sha256'] as const).flatMap((algorithm) => {
    const proved = files.filter(({ dump }) => provedBy(dump) === algorithm).length;
    return proved === 0
      ? []
      : [`# Proved by the ${HASH_NAMES[algorithm]} that Wikimedia published: ${proved} files`];
  });
  const unverified = files.filter(({ dump }) => provedBy(dump) === null);
  return [
    '#',
    ...counts,
    `# Unverified upstream, because Wikimedia published no hash: ${unverified.length} files`,
    ...unverified.map(({ path }) => `#   ${path}`),
  ];
}

/** BSD-like lines, `SHA1(name)= hex`; GNU md5sum, sha1sum and sha256sum read them with `-c`. */
function checksums(facts: Facts, files: readonly ContentFile[]): string {
  return lines(
    header('Checksums', facts),
    '# Check: sha1sum -c checksums.txt (or md5sum, sha256sum); each reads the lines of its own kind.',
    files.flatMap(({ dump, path }) => [
      '',
      ...(facts.payloadVersion === '1.0' ? [] : [`# ${SOURCE_NAMES[dump.source]}; ${proofWords(dump)}`]),
      ...(['SHA1', 'MD5', 'SHA256'] as const).flatMap((label) => {
        const column = ALGORITHMS.find((algorithm) => algorithm.label === label)!.column;
        return dump[column] === null ? [] : [`${label}(${path})= ${dump[column]}`];
      }),
    ]),
  );
}

function proofWords(dump: DumpFile): string {
  const algorithm = provedBy(dump);
  return algorithm === null
    ? 'unverified upstream: Wikimedia published no hash'
    : `proved by the ${HASH_NAMES[algorithm]} that Wikimedia published`;
}
