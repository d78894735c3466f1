import type { Problem } from './problem.ts';

/**
 * Secrets come from the environment and from files named there, never from the configuration file: that one is
 * copied, shown and committed. First found wins: `NAME`, `NAME_FILE`, a systemd credential, `/run/secrets`.
 */

/** Each secret and the names it goes by; the first name is the one we print. */
export const SECRET_NAMES = {
  iaAccessKey: ['IA_ACCESS_KEY', 'IA_ACCESS'],
  iaSecretKey: ['IA_SECRET_KEY', 'IA_SECRET'],
  r2AccountId: ['R2_ACCOUNT_ID'],
  r2AccessKeyId: ['R2_ACCESS_KEY_ID'],
  r2SecretAccessKey: ['R2_SECRET_ACCESS_KEY'],
  gistToken: ['GIST_TOKEN'],
  pastebinApiKey: ['PASTEBIN_API_KEY'],
  pastebinUserKey: ['PASTEBIN_USER_KEY'],
  academicTorrentsApiKey: ['ACADEMIC_TORRENTS_API_KEY'],
  archiveTodayApiKey: ['ARCHIVE_TODAY_API_KEY'],
  smtpUsername: ['SMTP_USERNAME'],
  smtpPassword: ['SMTP_PASSWORD'],
  qbittorrentUsername: ['QBITTORRENT_USERNAME'],
  qbittorrentPassword: ['QBITTORRENT_PASSWORD'],
  transmissionUsername: ['TRANSMISSION_USERNAME'],
  transmissionPassword: ['TRANSMISSION_PASSWORD'],
  // For whichever of the two is the engine.
  seedingUsername: ['SEEDING_USERNAME'],
  seedingPassword: ['SEEDING_PASSWORD'],
  wikiseedAdminToken: ['WIKISEED_ADMIN_TOKEN'],
} as const satisfies Record<string, readonly [string, ...string[]]>;

/** The name of a secret in the code. */
export type SecretName = keyof typeof SECRET_NAMES;

/** All secrets; null = not set. Never log this object. */
export type Secrets = { readonly [Name in SecretName]: string | null };

/** Where a secret was found, safe to show. */
export type SecretOrigin = 'environment' | 'file' | 'systemd credential' | '/run/secrets';

/** Where each secret was found; null = not set. Safe to show. */
export type SecretOrigins = { readonly [Name in SecretName]: SecretOrigin | null };

/** Process environment, as far as this room looks at it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Reads a whole text file; null if there is none; throws if it cannot be read. */
export type ReadTextFile = (path: string) => string | null;

/** The environment variable that holds a secret, as printed in messages. */
export function variableOf(name: SecretName): string {
  return SECRET_NAMES[name][0];
}

/** Secrets that are all null, for tests and the sandbox. */
export function noSecrets(): Secrets {
  return Object.fromEntries(Object.keys(SECRET_NAMES).map((name) => [name, null])) as Secrets;
}

/**
 * Collects all secrets.
 * @returns the values, where each was found, and a problem for each file that was named but cannot be read
 */
export function loadSecrets(sources: { env: Environment; readTextFile: ReadTextFile }): {
  secrets: Secrets;
  origins: SecretOrigins;
  problems: readonly Problem[];
} {
  const values: Record<string, string | null> = {};
  const origins: Record<string, SecretOrigin | null> = {};
  const problems: Problem[] = [];
  for (const [name, variables] of Object.entries(SECRET_NAMES)) {
    const found = findSecret(variables, sources, problems);
    values[name] = found?.value ?? null;
    origins[name] = found?.origin ?? null;
  }
  return { secrets: values as Secrets, origins: origins as SecretOrigins, problems };
}

type Found = { value: string; origin: SecretOrigin };

function findSecret(
  variables: readonly string[],
  { env, readTextFile }: { env: Environment; readTextFile: ReadTextFile },
  problems: Problem[],
): Found | null {
  for (const variable of variables) {
    const value = withoutLineEnd(env[variable] ?? '');
    if (value !== '') return { value, origin: 'environment' };
  }
  for (const variable of variables) {
    const path = env[`${variable}_FILE`];
    if (path === undefined || path === '') continue;
    // A file that was named on purpose must be there; a silent "not set" would look like a wrong password later.
    const value = readNamed(`${variable}_FILE`, path, readTextFile, problems);
    return value === null ? null : { value, origin: 'file' };
  }
  const folders: [string | undefined, SecretOrigin][] = [
    [env.CREDENTIALS_DIRECTORY, 'systemd credential'],
    ['/run/secrets', '/run/secrets'],
  ];
  for (const [folder, origin] of folders) {
    if (folder === undefined || folder === '') continue;
    for (const name of variables.flatMap((variable) => [variable.toLowerCase(), variable])) {
      const value = readIfThere(`${folder.replace(/\/$/, '')}/${name}`, readTextFile, problems);
      if (value !== null && value !== '') return { value, origin };
    }
  }
  return null;
}

function readNamed(
  variable: string,
  path: string,
  readTextFile: ReadTextFile,
  problems: Problem[],
): string | null {
  const problem = (message: string): null => {
    problems.push({ path: variable, line: null, column: null, message, severity: 'error' });
    return null;
  };
  try {
    const value = readTextFile(path);
    if (value === null) return problem(`names the file ${path}, which does not exist.`);
    return withoutLineEnd(value) === ''
      ? problem(`names the file ${path}, which is empty.`)
      : withoutLineEnd(value);
  } catch (error) {
    return problem(`names the file ${path}, which cannot be read: ${reasonOf(error)}.`);
  }
}

function readIfThere(path: string, readTextFile: ReadTextFile, problems: Problem[]): string | null {
  try {
    const value = readTextFile(path);
    return value === null ? null : withoutLineEnd(value);
  } catch (error) {
    const message = `cannot be read: ${reasonOf(error)}.`;
    problems.push({ path, line: null, column: null, message, severity: 'warning' });
    return null;
  }
}

/** The code of a file error (`EACCES`), or its message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}

function withoutLineEnd(value: string): string {
  return value.replace(/[\r\n]+$/, '');
}

// Words by which a key gives itself away as a secret, also when we do not know its service.
const SECRET_WORDS =
  /(^|_)(secret|password|passwd|token|credentials?|api_?key|access_?key(_id)?|secret_?key)(_|$)/i;

// What people write in the file, where the section and the variable do not share a name.
const KEY_ALIASES: Readonly<Record<string, string>> = {
  EMAIL_USERNAME: 'SMTP_USERNAME',
  EMAIL_USER: 'SMTP_USERNAME',
  EMAIL_PASSWORD: 'SMTP_PASSWORD',
  MONITORING_TOKEN: 'WIKISEED_ADMIN_TOKEN',
  MONITORING_ADMIN_TOKEN: 'WIKISEED_ADMIN_TOKEN',
  MONITORING_PASSWORD: 'WIKISEED_ADMIN_TOKEN',
  ADMIN_TOKEN: 'WIKISEED_ADMIN_TOKEN',
};

/**
 * Whether a key of the configuration file holds a secret, which has no place there.
 * @param path the key in file form, `['ia', 'secret_key']`
 * @returns the environment variable it belongs in, '' if the key looks like a secret of a service we do not know, null if it is none
 */
export function secretVariableFor(path: readonly string[]): string | null {
  const words = path.map((part) => part.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase());
  const known = Object.values<readonly string[]>(SECRET_NAMES).flat();
  const candidates = [words.at(-1) ?? '', words.slice(-2).join('_')];
  for (const candidate of candidates) {
    const variable = KEY_ALIASES[candidate] ?? candidate;
    if (known.includes(variable)) return variable;
  }
  return SECRET_WORDS.test(words.at(-1) ?? '') ? '' : null;
}
