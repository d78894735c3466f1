import { escapeXml, type PoolUnit, type RevisionText } from './text-pool.ts';
import type { SandboxWiki } from './wiki-table.ts';

/** One revision; `id` grows with time. `timestamp` is ISO 8601 in UTC to the second. */
export interface Revision {
  readonly id: number;
  readonly parentId: number | null;
  readonly timestamp: string;
  readonly user: string;
  readonly userId: number;
  readonly comment: string;
  readonly isMinor: boolean;
  readonly text: RevisionText;
}

/** One page. `title` is without its namespace; `revisions` go from the oldest to the current one. */
export interface Page {
  readonly id: number;
  readonly namespace: number;
  readonly title: string;
  /** Title of the page this one redirects to, or null. */
  readonly redirectTo: string | null;
  readonly revisions: readonly Revision[];
}

/** What one export holds: every revision or the current one, with text or as stubs. */
export interface ExportForm {
  readonly hasHistory: boolean;
  readonly hasText: boolean;
}

/** Export text in order: own text as strings, shared texts as units. Neighbouring strings are already joined. */
export type ExportPiece = string | PoolUnit;

/** Namespaces of every wiki here; the project's own name fills number 4. */
export const namespaces: ReadonlyMap<number, string> = new Map([
  [-2, 'Media'],
  [-1, 'Special'],
  [0, ''],
  [1, 'Talk'],
  [2, 'User'],
  [3, 'User talk'],
  [4, 'Project'],
  [5, 'Project talk'],
  [6, 'File'],
  [7, 'File talk'],
  [8, 'MediaWiki'],
  [9, 'MediaWiki talk'],
  [10, 'Template'],
  [11, 'Template talk'],
  [12, 'Help'],
  [13, 'Help talk'],
  [14, 'Category'],
  [15, 'Category talk'],
]);

/** The full title as pages show it, `Talk:Some page`. */
export function fullTitle(page: Page, wiki: SandboxWiki): string {
  const name = namespaceName(page.namespace, wiki);
  return name === '' ? page.title : `${name}:${page.title}`;
}

function namespaceName(namespace: number, wiki: SandboxWiki): string {
  return (namespaces.get(namespace) ?? '').replace('Project', wiki.sitename);
}

/** The start of an export up to the first page: schema 0.11 and the site's facts. */
export function exportHeader(wiki: SandboxWiki): string {
  const schema = 'http://www.mediawiki.org/xml/export-0.11';
  const lines = [
    `<mediawiki xmlns="${schema}/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="${schema}/ ${schema}.xsd" version="0.11" xml:lang="${wiki.isSpecial ? 'en' : wiki.lang}">`,
    '  <siteinfo>',
    `    <sitename>${escapeXml(wiki.sitename)}</sitename>`,
    `    <dbname>${wiki.dbname}</dbname>`,
    `    <base>${wiki.url}/wiki/Main_Page</base>`,
    '    <generator>MediaWiki 1.46.0-wmf.7</generator>',
    '    <case>first-letter</case>',
    '    <namespaces>',
  ];
  for (const key of namespaces.keys()) {
    const name = namespaceName(key, wiki);
    const open = `      <namespace key="${key}" case="first-letter"`;
    lines.push(name === '' ? `${open} />` : `${open}>${escapeXml(name)}</namespace>`);
  }
  lines.push('    </namespaces>', '  </siteinfo>', '');
  return lines.join('\n');
}

/** The end of an export; like the real files it has no final newline. */
export const exportFooter = '</mediawiki>';

/** The export text of some pages. Nothing is compressed or copied here. */
export function exportPages(pages: Iterable<Page>, wiki: SandboxWiki, form: ExportForm): ExportPiece[] {
  const pieces: ExportPiece[] = [];
  let own: string[] = [];
  const flush = (): void => {
    if (own.length > 0) pieces.push(own.join(''));
    own = [];
  };
  for (const page of pages) {
    own.push(pageStart(page, wiki));
    for (const revision of form.hasHistory ? page.revisions : page.revisions.slice(-1)) {
      own.push(revisionStart(revision));
      const { bytes, sha1, body } = revision.text;
      if (!form.hasText || bytes === 0) {
        own.push(`      <text bytes="${bytes}" sha1="${sha1}" />\n`);
      } else {
        own.push(`      <text bytes="${bytes}" sha1="${sha1}" xml:space="preserve">`);
        if (typeof body === 'string') own.push(body);
        else {
          flush();
          pieces.push(body);
        }
        own.push('</text>\n');
      }
      own.push(`      <sha1>${sha1}</sha1>\n    </revision>\n`);
    }
    own.push('  </page>\n');
  }
  flush();
  return pieces;
}

function pageStart(page: Page, wiki: SandboxWiki): string {
  const redirect = page.redirectTo === null ? '' : `    <redirect title="${escapeXml(page.redirectTo)}" />\n`;
  return `  <page>\n    <title>${escapeXml(fullTitle(page, wiki))}</title>\n    <ns>${page.namespace}</ns>\n    <id>${page.id}</id>\n${redirect}`;
}

function revisionStart(revision: Revision): string {
  const parent = revision.parentId === null ? '' : `      <parentid>${revision.parentId}</parentid>\n`;
  const contributor =
    revision.userId === 0
      ? `        <ip>${revision.user}</ip>\n`
      : `        <username>${escapeXml(revision.user)}</username>\n        <id>${revision.userId}</id>\n`;
  return [
    `    <revision>\n      <id>${revision.id}</id>\n${parent}      <timestamp>${revision.timestamp}</timestamp>\n`,
    `      <contributor>\n${contributor}      </contributor>\n`,
    revision.isMinor ? '      <minor />\n' : '',
    revision.comment === '' ? '' : `      <comment>${escapeXml(revision.comment)}</comment>\n`,
    `      <origin>${revision.id}</origin>\n      <model>wikitext</model>\n      <format>text/x-wiki</format>\n`,
  ].join('');
}
