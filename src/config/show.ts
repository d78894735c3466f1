import { stringify } from 'yaml';
import { type Config, configSection } from './schema.ts';
import { SECRET_NAMES, type SecretName, type SecretOrigins, variableOf } from './secrets.ts';

// Web hooks and heartbeats carry their secret in the address itself.
const PRIVATE_ADDRESSES = [
  ['monitoring', 'heartbeat_url'],
  ['alerts', 'webhook'],
] as const;

/**
 * Turns a configuration back into file form: snake_case keys, values with human units, all defaults written out.
 * Reading it again gives the same configuration.
 */
export function toFileForm(config: Config): Record<string, Record<string, unknown>> {
  return configSection.schema.encode(config) as Record<string, Record<string, unknown>>;
}

/** The effective configuration in file form with private addresses masked, and the state of each secret, never its value. */
export function describeConfig(
  config: Config,
  origins: SecretOrigins,
): {
  config: Record<string, Record<string, unknown>>;
  secrets: Record<string, string>;
} {
  const file = toFileForm(config);
  for (const [section, key] of PRIVATE_ADDRESSES) {
    const address = file[section]?.[key];
    if (typeof address === 'string') file[section] = { ...file[section], [key]: masked(address) };
  }
  const names = Object.keys(SECRET_NAMES) as SecretName[];
  const secrets = names.map((name) => {
    const origin = origins[name];
    return [variableOf(name), origin === null ? 'not set' : `set (from ${origin})`];
  });
  return { config: file, secrets: Object.fromEntries(secrets) };
}

/** The effective configuration as YAML for `wikiseed config show`; the secrets follow as comments, so that the text stays a valid file. */
export function showConfig(config: Config, origins: SecretOrigins): string {
  const described = describeConfig(config, origins);
  const width = Math.max(...Object.keys(described.secrets).map((name) => name.length));
  const secrets = Object.entries(described.secrets).map(
    ([name, state]) => `#   ${name.padEnd(width)}  ${state}`,
  );
  const yaml = stringify(described.config, { lineWidth: 0 });
  return `${yaml}\n# Secrets, from the environment:\n${secrets.join('\n')}\n`;
}

function masked(address: string): string {
  const url = URL.parse(address);
  return url === null ? 'https://masked' : `${url.origin}/masked`;
}
