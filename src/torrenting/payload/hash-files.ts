import type { DumpFile, HashAlgorithm } from '../../catalog/index.ts';
import type { ContentFile } from './content.ts';
import { type HeaderFacts, header, lines, stableJson } from './header.ts';
import { HASH_NAMES, provedBy, SOURCE_NAMES } from './proof.ts';

type Facts = HeaderFacts;

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
      '1.4':
        'SHA-256 of the unpacked files, computed by WikiSeed; Wikimedia publishes hashes of the packed ones only',
    },
  },
  {
    label: 'SHA1',
    column: 'sha1',
    titles: {
      '1.0': 'SHA-1, which Wikimedia publishes too',
      '1.1': 'SHA-1, computed by WikiSeed; of classic dumps Wikimedia publishes it too',
      '1.4': 'SHA-1 of the unpacked files, computed by WikiSeed',
    },
  },
  {
    label: 'MD5',
    column: 'md5',
    titles: {
      '1.0': 'MD5, which Wikimedia publishes too',
      '1.1': 'MD5, computed by WikiSeed; of classic dumps Wikimedia publishes it too',
      '1.4': 'MD5 of the unpacked files, computed by WikiSeed',
    },
  },
] as const;

function hashJson({ cycleDate, payloadVersion }: Facts, files: readonly ContentFile[]): string {
  return stableJson({
    cycleDate,
    files: files.map(({ dump, path, upstreamUrl, unpacked }) => ({
      path,
      filename: (unpacked ?? dump).filename,
      wiki: dump.wikiDbName,
      project: dump.project,
      language: dump.language,
      dumpType: dump.dumpType,
      runDate: dump.runDate,
      sizeBytes: (unpacked ?? dump).sizeBytes,
      md5: (unpacked ?? dump).md5,
      sha1: (unpacked ?? dump).sha1,
      sha256: (unpacked ?? dump).sha256,
      verifiedBy: dump.verification,
      upstreamUrl,
      ...(payloadVersion === '1.0' ? {} : { source: dump.source, upstreamHash: upstreamHash(dump) }),
      ...(unpacked === undefined ? {} : { unpackedFrom: packedFacts(dump) }),
    })),
  });
}

/** What `verifiedBy`, `upstreamHash` and `upstreamUrl` of an unpacked file are about. */
function packedFacts({ filename, sizeBytes, md5, sha1, sha256 }: DumpFile) {
  return { filename, sizeBytes, md5, sha1, sha256 };
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
    facts.payloadVersion === '1.0' ? [] : proofLines(facts, files),
    ALGORITHMS.flatMap(({ column, titles }) => [
      '',
      `# ${titles[titlesOf(facts)]}`,
      ...files.flatMap(({ dump, path, unpacked }) => {
        const hash = (unpacked ?? dump)[column];
        return hash === null ? [] : [`${hash}  ${path}`];
      }),
    ]),
  );
}

function titlesOf({ payloadVersion }: Facts): '1.0' | '1.1' | '1.4' {
  return payloadVersion === '1.0' || payloadVersion === '1.4' ? payloadVersion : '1.1';
}

/** Which of the hashes below are more than our word. */
function proofLines({ payloadVersion }: Facts, files: readonly ContentFile[]): string[] {
  const isUnpacked = payloadVersion === '1.4';
  const counts = (['sha1', 'md5', 'sha256'] as const).flatMap((algorithm) => {
    const proved = files.filter(({ dump }) => provedBy(dump) === algorithm).length;
    return proved === 0
      ? []
      : [
          `# ${isUnpacked ? 'Unpacked from files that were proved' : 'Proved'} by the ${HASH_NAMES[algorithm]} that Wikimedia published: ${proved} files`,
        ];
  });
  const unverified = files.filter(({ dump }) => provedBy(dump) === null);
  return [
    '#',
    ...counts,
    `# ${isUnpacked ? 'Unpacked from files unverified' : 'Unverified'} upstream, because Wikimedia published no hash: ${unverified.length} files`,
    ...unverified.map(({ path }) => `#   ${path}`),
  ];
}

/** BSD-like lines, `SHA1(name)= hex`; GNU md5sum, sha1sum and sha256sum read them with `-c`. */
function checksums(facts: Facts, files: readonly ContentFile[]): string {
  return lines(
    header('Checksums', facts),
    '# Check: sha1sum -c checksums.txt (or md5sum, sha256sum); each reads the lines of its own kind.',
    files.flatMap(({ dump, path, unpacked }) => [
      '',
      ...(facts.payloadVersion === '1.0'
        ? []
        : [
            `# ${SOURCE_NAMES[dump.source]}; ${unpacked === undefined ? '' : `unpacked from ${dump.filename}, `}${proofWords(dump)}`,
          ]),
      ...(['SHA1', 'MD5', 'SHA256'] as const).flatMap((label) => {
        const column = ALGORITHMS.find((algorithm) => algorithm.label === label)!.column;
        const hash = (unpacked ?? dump)[column];
        return hash === null ? [] : [`${label}(${path})= ${hash}`];
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
