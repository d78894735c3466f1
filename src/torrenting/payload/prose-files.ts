import { byBytes } from '../byte-order.ts';
import type { Selection } from '../selection.ts';
import { torrentName } from '../which-torrent.ts';
import type { ContentFile } from './content.ts';
import { HOME_PAGE, lines, longDate, SOURCE_PAGE } from './header.ts';
import { UNPACKED_LEGAL, UNPACKED_PLACE, UNPACKED_READING } from './unpacked-prose.ts';

/** The files that explain: README.txt, LICENSE.txt, legal.txt, VERSION.txt. */
export function proseFiles(selection: Selection, files: readonly ContentFile[]): Record<string, string> {
  const isUnpacked = selection.variant === 'uncompressed';
  return {
    'README.txt': readme(selection, files),
    'LICENSE.txt': isUnpacked ? licences(files).replace('"compressed"', '"uncompressed"') : licences(files),
    'legal.txt': isUnpacked ? LEGAL.replace(PASSED_ON, UNPACKED_LEGAL) : LEGAL,
    'VERSION.txt': lines(
      `WikiSeed payload ${selection.payloadVersion}`,
      '',
      'This is the version of the files that WikiSeed adds to a torrent: their names, layout and wording.',
      'The version of the program that made the torrent is in the .torrent file ("created by"), not here,',
      'so that two people who hold the same dumps make the same torrent.',
      '',
      `Program and documentation: ${SOURCE_PAGE}`,
    ),
  };
}

function readme(selection: Selection, files: readonly ContentFile[]): string {
  const isUnpacked = selection.variant === 'uncompressed';
  const wikis = new Set(files.map(({ dump }) => dump.wikiDbName)).size;
  const what =
    selection.variant === 'history'
      ? 'with the full history: every revision of every page, where Wikimedia offered it'
      : 'in their current state: the newest text of the pages, with titles and link tables';
  return lines(
    `${selection.name}`,
    '='.repeat(selection.name.length),
    '',
    'WHAT THIS IS',
    '',
    'A copy of the database dumps of the Wikimedia wikis (Wikipedia, Wiktionary, Wikisource, Wikidata and others),',
    `${what}${isUnpacked ? '; unpacked, for readers without the tools' : ''}.`,
    `Wikimedia made them in the dump cycle of ${longDate(selection.cycleDate)}; here are ${files.length} files from ${wikis} wikis.`,
    scopeNote(selection),
    'Images, sounds and videos are not included. WikiSeed collected the files, proved them and shares them as a',
    'torrent, so that they outlive any single server. You need no program of ours to use them.',
    '',
    partNote(selection),
    supplementNote(selection),
    'WHERE THINGS ARE',
    '',
    isUnpacked
      ? UNPACKED_PLACE
      : 'compressed/<language>/<project>/<file>   the dump files, exactly as Wikimedia published them',
    'HASH.txt, HASH.json, checksums.txt       hashes to check the files with (three forms of the same facts)',
    'STATUS.txt, STATUS.json                  what is inside, what is missing, and why',
    'sources.txt                              where each wiki came from',
    'ARCHIVE_URLS.txt, ARCHIVE_URLS.json      copies of the source pages in web archives',
    'LICENSE.txt, legal.txt                   what you may do with it: read them before you publish anything',
    'VERSION.txt                              version of these added files',
    '',
    'File names are <wiki>-<date>-<content>. enwiki is the English Wikipedia, dewiktionary the German Wiktionary;',
    'the date is year, month, day.',
    selection.payloadVersion === '1.0' ? [] : isUnpacked ? UNPACKED_EXPORTS : CONTENT_EXPORTS,
    '',
    'HOW TO CHECK IT',
    '',
    'Your torrent client can check everything ("force re-check", "verify local data").',
    'Without one, open a terminal in this folder:',
    '  Linux    sha256sum -c HASH.txt',
    '  macOS    shasum -a 256 -c HASH.txt',
    '  Windows  Get-FileHash -Algorithm SHA256 <file>, and look for the result in HASH.txt',
    'Warnings about "improperly formatted" lines are expected; every file must say OK.',
    selection.alignFilesFromBytes === null ? [] : PADDING,
    '',
    'HOW TO READ IT',
    '',
    isUnpacked ? UNPACKED_READING : PACKED_READING,
    '',
    'Content. Everything is UTF-8 text.',
    '  pages-articles       XML: one <page> for each article, template and file description, newest revision only.',
    '                       <title> is the title, <ns> the namespace (0 = articles), <text> the wiki markup.',
    '  pages-meta-current   the same for all pages, with discussion and user pages',
    '  pages-meta-history   the same with every <revision> a page ever had',
    '  stub-...             the same XML without the text: who changed which page when',
    '  all-titles           one line for each page: number of the namespace, a tab, the title',
    `  ....sql              a database table as SQL for MySQL or MariaDB: ${isUnpacked ? 'mysql <database> < file.sql' : 'gzip -dc file.sql.gz | mysql <database>'}.`,
    '                       It begins with CREATE TABLE, then come INSERT lines; they can be read as text, too.',
    '                       pagelinks, categorylinks and imagelinks hold numbers: linktarget and page resolve them.',
    'The XML begins with the address of its schema and the list of namespaces. The wiki markup is described at',
    'https://www.mediawiki.org/wiki/Help:Formatting. A program that understands all of it is MediaWiki',
    '(https://www.mediawiki.org), which can also import these files (maintenance/importDump.php).',
    'More on the dumps: https://meta.wikimedia.org/wiki/Data_dumps',
    '',
    'WHO MADE IT',
    '',
    'The words were written by the volunteers of the Wikimedia projects, the dumps by the Wikimedia Foundation',
    `(https://dumps.wikimedia.org). WikiSeed (${HOME_PAGE}, ${SOURCE_PAGE})`,
    `is independent of it and only passes the files on, ${isUnpacked ? 'unpacked, otherwise unchanged' : 'unchanged'}. Please keep seeding.`,
  );
}

const PACKED_READING = [
  'Compression. All three formats are open, documented and supported by free programs on every system.',
  '  .bz2  bzip2 -dc file.bz2 | less           (bzip2, 7-Zip, Python module bz2)',
  '  .gz   gzip -dc file.gz | less             (gzip, 7-Zip, Python module gzip)',
  '  .7z   7z x file.7z, or 7z x -so file.7z   (7-Zip, p7zip, libarchive)',
  'Unpacked, a file is often 4 to 10 times larger, with full history up to 100 times. Read it as a stream',
  'instead of unpacking it to disk whenever you can.',
];

const CONTENT_EXPORTS = [
  'Names with dashes in the date, as in enwiki-2026-11-01-p1p41242.xml.bz2, are content exports: the same XML as',
  'pages-meta-current (or, in a torrent with full history, pages-meta-history), made in another way, in parts by page.',
];

const UNPACKED_EXPORTS = CONTENT_EXPORTS.map((line) => line.replace('.xml.bz2', '.xml'));

const PADDING = [
  '',
  'A folder .pad, if there is one, was made by your torrent client: its files are zeros that fill the torrent up',
  'between large files (BEP 47). Many clients leave it out. While you seed, leave it to your client; for reading',
  'the dumps nobody needs it.',
];

/** Whoever looks for another wiki must learn at once that it is not here. */
function scopeNote({ grouping, scope }: Selection): string[] {
  if (grouping === 'cycle') return [];
  return [`Of all of them it holds only those of the ${grouping} "${scope}".`];
}

/** Which of the parts it is, and where the others are. */
function partNote(selection: Selection): string[] {
  if (selection.part === 0) return [];
  const base = torrentName({ ...selection, part: 0 });
  return [
    `THIS IS PART ${selection.part}`,
    '',
    `All of it is too much for one torrent. This is part ${selection.part} of ${base}; the parts are`,
    `${base}-part-1, ${base}-part-2 and so on, wherever you got this one.`,
    'Each can be used without the others: the wikis of one project and language are together, unless they alone are',
    'too much. For the whole take all parts, and put the folders "compressed" together: no file is in two of them.',
    '',
  ];
}

/** Whoever has only the supplement has a few late files, and must learn so at once. */
function supplementNote(selection: Selection): string[] {
  if (selection.supplement === 0) return [];
  const [main = '', ...others] = selection.supplements;
  const isSplit = selection.supplements.length > selection.supplement;
  const withOthers =
    others.length === 0 ? '' : isSplit ? ' and the others named below' : ' and its earlier supplements';
  return [
    'THIS IS A SUPPLEMENT',
    '',
    `It goes with the torrent ${main}${withOthers}: it carries what was`,
    'finished, or could be fetched, only after that one was made. It is of no use for the files which that torrent',
    'carries; none of them is in here. For the whole cycle take both, and put the folders "compressed" together:',
    'no file of one has the name of a file of the other. STATUS.txt says what is missing even now.',
    ...(others.length === 0
      ? []
      : [`${isSplit ? 'The others' : 'Earlier supplements'}:`, ...others.map((name) => `  ${name}`)]),
    '',
  ];
}

const CC_BY_SA =
  'Creative Commons Attribution-ShareAlike 4.0, https://creativecommons.org/licenses/by-sa/4.0/';
const GFDL = 'GNU Free Documentation License, https://www.gnu.org/licenses/fdl-1.3.html';
const CC_BY_25 = 'Creative Commons Attribution 2.5, https://creativecommons.org/licenses/by/2.5/';
const CC0 = 'Creative Commons Zero (CC0 1.0), https://creativecommons.org/publicdomain/zero/1.0/';

/** Source: the licence page of the dump server, in the words of legal.txt. */
function licenceOf(project: string): string[] {
  if (project === 'wikinews') return [CC_BY_25, 'text published before 2005-09-25: public domain'];
  if (project === 'wikidata') {
    return [
      `main, Property, Lexeme and EntitySchema namespaces: ${CC0}`,
      `all other namespaces: ${CC_BY_SA}`,
    ];
  }
  return [CC_BY_SA, `${GFDL} (some text: only the Creative Commons licence)`];
}

function licences(files: readonly ContentFile[]): string {
  // Wikidata is a wiki of its own in some lists of projects, and a "special" one in others: its name decides.
  const projects = [
    ...new Set(files.map(({ dump }) => (dump.wikiDbName === 'wikidatawiki' ? 'wikidata' : dump.project))),
  ].sort(byBytes);
  return lines(
    'LICENCES',
    '',
    'Below are the licences of the text in these dumps, for each project. Images and other media are not included',
    'and have licences of their own. Exceptions and details: legal.txt. If this list and the terms of Wikimedia',
    'disagree, the terms of Wikimedia hold.',
    projects.flatMap((project) => ['', `${project}`, ...licenceOf(project).map((licence) => `  ${licence}`)]),
    '',
    'HOW TO GIVE CREDIT',
    '',
    'Name the authors: a link to the page on the wiki is enough, because its history lists them. Name the licence,',
    'say if you changed something, and share your version under the same licence where it says ShareAlike.',
    'For example: "From the article <title> of the English Wikipedia, https://en.wikipedia.org/wiki/<title>,',
    'by its authors, CC BY-SA 4.0."',
    '',
    'FILES ADDED BY WIKISEED',
    '',
    'The text files beside the folder "compressed" hold facts about the dumps. Whatever right WikiSeed has in them',
    `is waived: ${CC0}`,
    `The program itself is under the MIT licence: ${SOURCE_PAGE}`,
  );
}

const PASSED_ON =
  'with it. WikiSeed gives the files on unchanged, as it received them, without warranty of any kind.';

const LEGAL = lines(
  'LEGAL INFORMATION ABOUT THE DUMPS',
  '',
  'This is a short account, in our own words, of the licence information that the Wikimedia Foundation gives at',
  'https://dumps.wikimedia.org/legal.html. It is a guide, not legal advice. Where it disagrees with the Terms of Use of the',
  'Wikimedia Foundation (https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use), or with a notice inside the dumps, those hold.',
  '',
  'Purpose. Wikimedia projects make educational content that everybody may share, change and use for any purpose,',
  'also commercially, for ever, under the conditions of the licences below.',
  '',
  'Text. Original text is under the GNU Free Documentation License (GFDL) and the Creative Commons',
  'Attribution-ShareAlike 4.0 licence. Some text is under the Creative Commons licence only; some authors offer',
  'more licences, or gave their text to the public domain.',
  '',
  'Images. Not part of these dumps. Many are not under the default licence; the description page of each file,',
  'which is in the dumps as text, names its own.',
  '',
  'Wikinews. Text since 2005-09-25: Creative Commons Attribution 2.5. Older text: public domain.',
  '',
  'Wikidata. Structured data in the main, Property, Lexeme and EntitySchema namespaces: Creative Commons Zero (CC0).',
  'Text in other namespaces: Creative Commons Attribution-ShareAlike 4.0.',
  '',
  'Analytics datasets. Creative Commons Zero (CC0), unless stated otherwise.',
  '',
  'Fair use. Some text was included because fair use or another exception to copyright was believed to allow it',
  'where it stood. Elsewhere the same use may infringe copyright.',
  '',
  'Infringements. Volunteers remove infringing text all the time, and a dump can hold some that was not found yet.',
  'You use the dumps at your own risk. Questions, and infringements you find: legal@wikimedia.org.',
  '',
  'Names and logos of the Wikimedia projects are trademarks of the Wikimedia Foundation. WikiSeed is not affiliated',
  PASSED_ON,
);
