/* What README.txt says in a torrent of unpacked files, where the others tell of packed ones. */

/** Where the files are, and that they are not as Wikimedia made them. */
export const UNPACKED_PLACE =
  'uncompressed/<language>/<project>/<file>   the dump files, unpacked; Wikimedia published them packed';

/** How they were unpacked, and what was not. */
export const UNPACKED_READING: readonly string[] = [
  'How it was unpacked. Each file was unpacked from one file that Wikimedia published, whose name is the same with the',
  'ending .bz2, .gz or .7z, and whose hash was compared first. It holds what these commands write, byte for byte; of a',
  'file made of several streams or members, all of them, one behind the other:',
  '  .bz2  bzip2 -dc file.bz2',
  '  .gz   gzip -dc file.gz',
  '  .7z   7z x -so file.7z',
  'The checksums inside the packed files were right. sources.txt names the packed file of each, so that you can fetch it',
  'and compare. Files that are too large when unpacked, and files that cannot be unpacked, are not here; STATUS.txt',
  'names them. Everything that Wikimedia published is in the torrents of the packed files of the same cycle.',
];

/** The last sentence of legal.txt. */
export const UNPACKED_LEGAL =
  'with it. WikiSeed gives the files on unpacked, otherwise unchanged, without warranty of any kind.';
