import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import type { WikiFacts } from '../catalog/index.ts';
import { RetryableError, UnavailableError } from '../lib/index.ts';
import { isSafeName } from '../storage/index.ts';

/** Flags are `""` in format version 1 and `true` in version 2: present and not false means set. */
const Flag = z.unknown().transform((value) => value !== undefined && value !== null && value !== false);

const Site = z.object({
  url: z.string(),
  dbname: z.string(),
  code: z.string(),
  sitename: z.string().optional().catch(undefined),
  lang: z.string().optional().catch(undefined),
  closed: Flag.optional(),
  private: Flag.optional(),
  fishbowl: Flag.optional(),
});
type Site = z.infer<typeof Site>;

const Group = z.object({ code: z.string(), site: z.array(z.unknown()) });

/** What the API answers instead of a site matrix, in each of its error formats. */
const ApiError = z.object({
  code: z.string().catch('unknown'),
  info: z.string().optional().catch(undefined),
  text: z.string().optional().catch(undefined),
  '*': z.string().optional().catch(undefined),
});
const Answer = z.object({
  error: ApiError.optional(),
  errors: z.array(ApiError).optional(),
  continue: z.record(z.string(), z.union([z.string(), z.number()]).transform(String)).optional(),
  sitematrix: z.record(z.string(), z.unknown()).optional(),
});

/** Codes that say: the whole API cannot serve now. */
const OVERLOADED: readonly string[] = ['maxlag', 'ratelimited', 'readonly'];
/** The API gives 5,000 wikis at a time; whoever needs more answers than this is in a circle. */
const MOST_ANSWERS = 100;

/** Wikis of a site matrix, and what in it could not be used. */
export interface SiteMatrix {
  wikis: WikiFacts[];
  refused: string[];
  /** How many wikis upstream says there are; null when it does not. */
  announced: number | null;
  /** Parameters of the request that brings the rest; null: this is all of it. Until then no wiki is known to be missing. */
  continue: Readonly<Record<string, string>> | null;
}

/** Wikipedia is the only project whose code is not its name. */
function projectOf(code: string): string {
  return code === 'wiki' ? 'wikipedia' : code;
}

/**
 * Reads a whole site matrix, in as many answers as upstream needs.
 * @param ask gives the text of one answer; the parameters come on top of its own
 * @throws RetryableError as `parseSiteMatrix`, and when the answers go in a circle; whatever `ask` throws
 */
export async function readSiteMatrix(
  ask: (parameters: Readonly<Record<string, string>>) => Promise<string>,
): Promise<Omit<SiteMatrix, 'continue'>> {
  const wikis = new Map<string, WikiFacts>();
  const refused: string[] = [];
  const asked = new Set<string>();
  let announced: number | null = null;
  let parameters: Readonly<Record<string, string>> | null = {};
  while (parameters !== null) {
    const key = JSON.stringify(parameters);
    if (asked.has(key) || asked.size >= MOST_ANSWERS)
      throw new RetryableError('torn_site_matrix', 'the site matrix goes on and on, and comes to no end');
    asked.add(key);
    const steps = parseInSteps(await ask(parameters), wikis);
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) await nextTurn();
    const answer = step.value;
    for (const wiki of answer.wikis) wikis.set(wiki.wikiDbName.toLowerCase(), wiki);
    refused.push(...answer.refused);
    announced = answer.announced ?? announced;
    parameters = answer.continue;
  }
  if (wikis.size === 0) throw namesNone();
  return { wikis: [...wikis.values()], refused, announced };
}

/**
 * Reads one answer of `action=sitematrix`, format version 1 or 2.
 * Project and language come from the matrix, never from cutting up a dbname.
 * @throws RetryableError `torn_site_matrix` when it is no site matrix; one bad entry is refused, not the rest
 * @throws RetryableError `site_matrix_refused` with the API's own words; an UnavailableError when the API is overloaded
 */
export function parseSiteMatrix(text: string): SiteMatrix {
  const steps = parseInSteps(text, new Map());
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** Pauses after each language: a thousand wikis in one go would keep pages and leases waiting. */
function* parseInSteps(
  text: string,
  before: ReadonlyMap<string, WikiFacts>,
): Generator<void, SiteMatrix, void> {
  const { matrix, rest } = readAnswer(text);
  const wikis = new Map<string, WikiFacts>();
  const refused: string[] = [];
  const add = (raw: unknown, describe: (site: Site) => { project: string; language: string }): void => {
    const parsed = Site.safeParse(raw);
    const site = parsed.data;
    const place = site === undefined ? null : describe(site);
    const key = site?.dbname.toLowerCase() ?? '';
    if (
      site === undefined ||
      place === null ||
      !isUsable(site.dbname, place, wikis.get(key) ?? before.get(key))
    ) {
      refused.push(JSON.stringify(raw)?.slice(0, 120) ?? 'nothing');
      return;
    }
    wikis.set(key, {
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
    yield;
    if (/^\d+$/.test(key)) {
      const group = Group.safeParse(value);
      if (!group.success) {
        refused.push(`group ${key}`);
        continue;
      }
      for (const raw of group.data.site)
        add(raw, (site) => ({ project: projectOf(site.code), language: group.data.code }));
    } else if (key === 'specials') {
      // A special may have no language of its own, or an invented one, which is its own name again.
      if (!Array.isArray(value)) refused.push('specials');
      else
        for (const raw of value)
          add(raw, (site) => ({ project: site.code, language: site.lang || site.code }));
    }
  }
  if (wikis.size === 0 && before.size === 0 && rest === null) throw namesNone();
  const { count } = matrix;
  const announced = typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : null;
  return { wikis: [...wikis.values()], refused, announced, continue: rest };
}

function namesNone(): RetryableError {
  return new RetryableError('torn_site_matrix', 'the site matrix names no wiki at all');
}

/**
 * Database name, project and language all become folders, here and in torrents; two names that differ only in case would
 * share one on some systems. The catalog keeps names of up to 64 characters.
 */
function isUsable(
  dbname: string,
  place: { project: string; language: string },
  twin: WikiFacts | undefined,
): boolean {
  return (
    [dbname, place.project, place.language].every(isSafeName) &&
    dbname.length <= 64 &&
    (twin?.wikiDbName ?? dbname) === dbname
  );
}

function readAnswer(text: string): {
  matrix: Record<string, unknown>;
  rest: Readonly<Record<string, string>> | null;
} {
  const torn = (cause?: unknown): RetryableError =>
    new RetryableError('torn_site_matrix', 'the site matrix is not complete JSON', { cause });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw torn(error);
  }
  const parsed = Answer.safeParse(document);
  if (!parsed.success) throw torn(new Error(parsed.error.issues[0]?.message));
  const { error, errors, sitematrix, continue: rest } = parsed.data;
  const refusal = error ?? errors?.[0];
  // An error may come beside half an answer.
  if (refusal !== undefined) throw refusedBy(refusal);
  if (sitematrix === undefined) throw torn();
  return { matrix: sitematrix, rest: rest ?? null };
}

function refusedBy(error: z.infer<typeof ApiError>): RetryableError {
  const words = [error.code, error.info ?? error.text ?? error['*'] ?? ''].filter((part) => part !== '');
  const message = `the site matrix was refused: ${words.join(': ').slice(0, 300)}`;
  return OVERLOADED.includes(error.code)
    ? new UnavailableError('site_matrix_refused', message)
    : new RetryableError('site_matrix_refused', message, {
        hint: 'If it stays like this, check discovery.sitematrix_url.',
      });
}
