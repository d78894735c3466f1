import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { type Config, defaultConfig, type Environment, type Secrets, toFileForm } from '../config/index.ts';
import type { CliIo } from './io.ts';

/** In the folder of a demo; another name than that of a real configuration, which may lie in the same folder. */
const NAME = 'demo.yaml';

const HEAD = `# Written by the demo at each start: with it, every command looks at the demo and not at the real Wikimedia.
# Its addresses answer for as long as the demo runs. Settings that are not here have their defaults.
`;

/** The demo's keys, by the names under which a folder of credentials has them. */
const KEYS = {
  ia_access_key: 'iaAccessKey',
  ia_secret_key: 'iaSecretKey',
  r2_access_key_id: 'r2AccessKeyId',
  r2_secret_access_key: 'r2SecretAccessKey',
} as const satisfies Record<string, keyof Secrets>;

const keysFolder = (dataDir: string): string => join(dataDir, 'sandbox', 'keys');

/**
 * Writes what other commands need to look at a demo: a configuration, and the keys of its archive and store beside the sandbox.
 * @returns the path of the configuration
 */
export function writeDemoFiles(facts: { config: Config; secrets: Secrets }): string {
  const { dataDir } = facts.config.wikiseed;
  mkdirSync(keysFolder(dataDir), { recursive: true });
  for (const [name, secret] of Object.entries(KEYS))
    writeFileSync(join(keysFolder(dataDir), name), facts.secrets[secret] ?? '');
  const path = join(dataDir, NAME);
  const own = difference(toFileForm(facts.config), toFileForm(defaultConfig()));
  writeFileSync(path, `${HEAD}${stringify(own, { lineWidth: 0 })}`);
  return path;
}

/**
 * The environment in which a configuration is read: of a demo, its keys are found without being set. They are worth nothing, and
 * what is set goes before them.
 * @param path of the configuration, as the operator named it; undefined: none
 */
export function environmentFor(io: CliIo, path: string | undefined): Environment {
  const named = path ?? io.env.WIKISEED_CONFIG ?? '';
  if (!(named === NAME || named.endsWith(`/${NAME}`))) return io.env;
  return { CREDENTIALS_DIRECTORY: keysFolder(dirname(named)), ...io.env };
}

/** What of `values` is not as in `defaults`: whole lists, single keys of groups. */
function difference(values: Record<string, unknown>, defaults: Record<string, unknown>): object {
  const isGroup = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]): [string, unknown][] => {
      const usual = defaults[key];
      if (JSON.stringify(value) === JSON.stringify(usual)) return [];
      return [[key, isGroup(value) && isGroup(usual) ? difference(value, usual) : value]];
    }),
  );
}
