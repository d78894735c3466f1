import { z } from 'zod';
import type { WikiFacts } from '../catalog/index.ts';
import { RetryableError } from '../lib/index.ts';
import { isSafeName } from '../storage/index.ts';

/** Flags are `""` in format version 1 and `true` in version 2: present and not false means set. */
const Flag = z.unknown().transform((value) => value !== undefined && value !== null && value !== false);

const Site = z.object({
  url: z.string(),
  dbname: z.string(),
  code: z.string(),
  sitename: z.string().optional(),
  lang: z.string().optional(),
  closed: Flag.optional(),
  private: Flag.optional(),
  fishbowl: Flag.optional(),
});
type Site = z.infer<typeof Site>;

const Group = z.object({ code: z.string(), site: z.array(z.unknown()) });

/** Wikipedia is the only project whose code is not its name. */
function projectOf(code: string): string {
  return code === 'wiki' ? 'wikipedia' : code;
}

/** Wikis of a site matrix, and what in it could not be used. */
export interface SiteMatrix {
  wikis: WikiFacts[];
  refused: string[];
}

/**
 * Reads the answer of `action=sitematrix`, format version 1 or 2.
 * Project and language come from the matrix, never from cutting up a dbname.
 * @throws RetryableError `torn_site_matrix` when it is no site matrix; one bad entry is refused, not the rest
 */
export function parseSiteMatrix(text: string): SiteMatrix {
  const matrix = parseMatrixObject(text);
  const wikis = new Map<string, WikiFacts>();
  const refused: string[] = [];
  const add = (raw: unknown, describe: (site: Site) => { project: string; language: string }): void => {
    const parsed = Site.safeParse(raw);
    const site = parsed.data;
    const place = site === undefined ? null : describe(site);
    if (site === undefined || place === null || !isUsable(site.dbname, place, wikis)) {
      refused.push(JSON.stringify(raw).slice(0, 120));
      return;
    }
    wikis.set(site.dbname.toLowerCase(), {
      wikiDbName: site.dbname,
      ...place,
      url: site.url,
      name: site.sitename ?? site.dbname,
      isClosed: site.closed ?? false,
      isPrivate: site.private ?? false,
      isFishbowl: site.fishbowl ?? false,
    });
  };
  for (const [key, value] of Object.entries(matrix)) {
    if (/^\d+$/.test(key)) {
      const group = Group.safeParse(value);
      if (!group.success) {
        refused.push(`group ${key}`);
        continue;
      }
      for (const raw of group.data.site)
        add(raw, (site) => ({ project: projectOf(site.code), language: group.data.code }));
    } else if (key === 'specials' && Array.isArray(value)) {
      for (const raw of value) add(raw, (site) => ({ project: site.code, language: site.lang ?? site.code }));
    }
  }
  if (wikis.size === 0) throw new RetryableError('torn_site_matrix', 'the site matrix names no wiki at all');
  return { wikis: [...wikis.values()], refused };
}

/**
 * Database name, project and language all become folders, here and in torrents; two names that differ only in case would
 * share one on some systems.
 */
function isUsable(
  dbname: string,
  place: { project: string; language: string },
  known: ReadonlyMap<string, WikiFacts>,
): boolean {
  const twin = known.get(dbname.toLowerCase());
  return [dbname, place.project, place.language].every(isSafeName) && (twin?.wikiDbName ?? dbname) === dbname;
}

function parseMatrixObject(text: string): Record<string, unknown> {
  const torn = (cause?: unknown): RetryableError =>
    new RetryableError('torn_site_matrix', 'the site matrix is not complete JSON', { cause });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw torn(error);
  }
  const parsed = z.object({ sitematrix: z.record(z.string(), z.unknown()) }).safeParse(document);
  if (!parsed.success) throw torn(parsed.error);
  return parsed.data.sitematrix;
}
