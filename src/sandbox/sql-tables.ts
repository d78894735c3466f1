import type { Page } from './export-xml.ts';
import { seededRandom } from './random.ts';
import type { SandboxWiki } from './wiki-table.ts';

/** The tables offered, by file name, with the job that makes each (section 5 of the real site's job names). */
export const tableJobs = {
  categorylinks: 'categorylinkstable',
  pagelinks: 'pagelinkstable',
  imagelinks: 'imagelinkstable',
  linktarget: 'linktargettable',
  page: 'pagetable',
  redirect: 'redirecttable',
  site_stats: 'sitestatstable',
} as const;

/** Name of a table offered. */
export type TableName = keyof typeof tableJobs;

const definitions: Record<TableName, string> = {
  categorylinks: `  \`cl_from\` int(8) unsigned NOT NULL DEFAULT 0,
  \`cl_sortkey\` varbinary(230) NOT NULL DEFAULT '',
  \`cl_timestamp\` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
  \`cl_sortkey_prefix\` varbinary(255) NOT NULL DEFAULT '',
  \`cl_type\` enum('page','subcat','file') NOT NULL DEFAULT 'page',
  \`cl_collation_id\` smallint(5) unsigned NOT NULL DEFAULT 0,
  \`cl_target_id\` bigint(20) unsigned NOT NULL,
  PRIMARY KEY (\`cl_from\`,\`cl_target_id\`)`,
  pagelinks: `  \`pl_from\` int(8) unsigned NOT NULL DEFAULT 0,
  \`pl_from_namespace\` int(11) NOT NULL DEFAULT 0,
  \`pl_target_id\` bigint(20) unsigned NOT NULL,
  PRIMARY KEY (\`pl_from\`,\`pl_target_id\`)`,
  imagelinks: `  \`il_from\` int(8) unsigned NOT NULL DEFAULT 0,
  \`il_from_namespace\` int(11) NOT NULL DEFAULT 0,
  \`il_target_id\` bigint(20) unsigned NOT NULL,
  PRIMARY KEY (\`il_from\`,\`il_target_id\`)`,
  linktarget: `  \`lt_id\` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  \`lt_namespace\` int(11) NOT NULL,
  \`lt_title\` varbinary(255) NOT NULL,
  PRIMARY KEY (\`lt_id\`),
  UNIQUE KEY \`lt_namespace_title\` (\`lt_namespace\`,\`lt_title\`)`,
  page: `  \`page_id\` int(8) unsigned NOT NULL AUTO_INCREMENT,
  \`page_namespace\` int(11) NOT NULL DEFAULT 0,
  \`page_title\` varbinary(255) NOT NULL DEFAULT '',
  \`page_is_redirect\` tinyint(1) unsigned NOT NULL DEFAULT 0,
  \`page_is_new\` tinyint(1) unsigned NOT NULL DEFAULT 0,
  \`page_random\` double unsigned NOT NULL DEFAULT 0,
  \`page_touched\` binary(14) NOT NULL,
  \`page_links_updated\` varbinary(14) DEFAULT NULL,
  \`page_latest\` int(8) unsigned NOT NULL DEFAULT 0,
  \`page_len\` int(8) unsigned NOT NULL DEFAULT 0,
  \`page_content_model\` varbinary(32) DEFAULT NULL,
  \`page_lang\` varbinary(35) DEFAULT NULL,
  PRIMARY KEY (\`page_id\`)`,
  redirect: `  \`rd_from\` int(8) unsigned NOT NULL DEFAULT 0,
  \`rd_namespace\` int(11) NOT NULL DEFAULT 0,
  \`rd_title\` varbinary(255) NOT NULL DEFAULT '',
  \`rd_interwiki\` varbinary(32) NOT NULL DEFAULT '',
  \`rd_fragment\` varbinary(255) NOT NULL DEFAULT '',
  PRIMARY KEY (\`rd_from\`)`,
  site_stats: `  \`ss_row_id\` int(10) unsigned NOT NULL,
  \`ss_total_edits\` bigint(20) unsigned DEFAULT NULL,
  \`ss_good_articles\` bigint(20) unsigned DEFAULT NULL,
  \`ss_total_pages\` bigint(20) unsigned DEFAULT NULL,
  \`ss_users\` bigint(20) unsigned DEFAULT NULL,
  \`ss_active_users\` bigint(20) unsigned DEFAULT NULL,
  \`ss_images\` bigint(20) unsigned DEFAULT NULL,
  PRIMARY KEY (\`ss_row_id\`)`,
};

/** A title as the database and the title lists hold it. */
export function databaseTitle(title: string): string {
  return title.replaceAll(' ', '_');
}

const quote = (text: string): string => `'${text.replace(/[\\'"]/g, (c) => `\\${c}`)}'`;

interface TableOptions {
  wiki: SandboxWiki;
  pages: readonly Page[];
  seed: string;
  /** How many links to invent; only pagelinks uses it. */
  linkCount: number;
  /** `YYYY-MM-DD HH:MM:SS`, for the last line. */
  completedAt: string;
}

/** The text of one table's dump as the database's own tool writes it: definition, rows, restored settings. */
export function tableDump(name: TableName, options: TableOptions): string {
  const rows = tableRows(name, options);
  // The real tool starts a new INSERT at about one megabyte.
  const inserts: string[] = [];
  for (let at = 0; at < rows.length; at += 20_000) {
    inserts.push(`INSERT INTO \`${name}\` VALUES\n${rows.slice(at, at + 20_000).join(',\n')};\n`);
  }
  return `${before(options.wiki.dbname, name)}${inserts.join('')}${after(name, options.completedAt)}`;
}

function before(dbname: string, name: TableName): string {
  return `/*M!999999\\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.5.29-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: ${dbname}
-- ------------------------------------------------------
-- Server version\t10.11.13-MariaDB-log

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;

--
-- Table structure for table \`${name}\`
--

DROP TABLE IF EXISTS \`${name}\`;
CREATE TABLE \`${name}\` (
${definitions[name]}
) ENGINE=InnoDB DEFAULT CHARSET=binary;

--
-- Dumping data for table \`${name}\`
--

/*!40000 ALTER TABLE \`${name}\` DISABLE KEYS */;
`;
}

function after(name: TableName, completedAt: string): string {
  return `/*!40000 ALTER TABLE \`${name}\` ENABLE KEYS */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;

-- Dump completed on ${completedAt}
`;
}

function tableRows(name: TableName, { wiki, pages, seed, linkCount }: TableOptions): string[] {
  const random = seededRandom(`${seed}/${name}`);
  switch (name) {
    case 'site_stats': {
      const edits = pages.reduce((sum, page) => sum + page.revisions.length, 0);
      const good = pages.filter((page) => page.namespace === 0 && page.redirectTo === null).length;
      return [`(1,${edits},${good},${pages.length},${edits * 3},${Math.ceil(edits / 20)},0)`];
    }
    case 'page':
      return pages.map((page) => {
        const current = page.revisions.at(-1);
        const touched = (current?.timestamp ?? '').replace(/\D/g, '');
        const isRedirect = page.redirectTo === null ? 0 : 1;
        const isNew = page.revisions.length === 1 ? 1 : 0;
        return `(${page.id},${page.namespace},${quote(databaseTitle(page.title))},${isRedirect},${isNew},${random.next().toFixed(12)},'${touched}','${touched}',${current?.id},${current?.text.bytes},'wikitext',NULL)`;
      });
    case 'redirect':
      return pages
        .filter((page) => page.redirectTo !== null)
        .map((page) => `(${page.id},0,${quote(databaseTitle(page.redirectTo ?? ''))},'','')`);
    case 'linktarget':
      // Target ids are page ids here, so that the link tables can be read by joining, as the real ones.
      return pages.map((page) => `(${page.id},${page.namespace},${quote(databaseTitle(page.title))})`);
    case 'categorylinks': {
      const categories = pages.filter((page) => page.namespace === 14);
      if (categories.length === 0) return [];
      return pages
        .filter((page) => page.namespace === 0)
        .map((page) => {
          const time = (page.revisions.at(-1)?.timestamp ?? '').replace('T', ' ').replace('Z', '');
          const key = databaseTitle(page.title).toUpperCase();
          return `(${page.id},${quote(key)},'${time}','','page',1,${random.pick(categories).id})`;
        });
    }
    case 'imagelinks': {
      const files = pages.filter((page) => page.namespace === 6);
      if (files.length === 0 || wiki.isClosed) return [];
      return pages
        .filter((_, i) => i % 5 === 0)
        .map((page) => `(${page.id},${page.namespace},${random.pick(files).id})`);
    }
    case 'pagelinks': {
      const rows: string[] = [];
      const perPage = Math.max(1, Math.ceil(linkCount / pages.length));
      for (const page of pages) {
        let target = 0;
        for (let i = 0; i < perPage && rows.length < linkCount; i += 1) {
          // Targets only grow, so that no pair is there twice: it is the table's key.
          target += random.between(1, 40);
          rows.push(`(${page.id},${page.namespace},${target})`);
        }
      }
      return rows;
    }
  }
}

/** `all-titles` (with namespaces) or `all-titles-in-ns0`, with the header line of the real lists. */
export function titleList(pages: readonly Page[], isMainNamespaceOnly: boolean): string {
  const chosen = isMainNamespaceOnly ? pages.filter((page) => page.namespace === 0) : pages;
  const lines = chosen
    .map((page) => databaseTitle(page.title))
    .map((title, i) => (isMainNamespaceOnly ? title : `${chosen[i]?.namespace}\t${title}`));
  return `${[isMainNamespaceOnly ? 'page_title' : 'page_namespace\tpage_title', ...lines.toSorted()].join('\n')}\n`;
}
