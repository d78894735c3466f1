import type { Finding } from './contradictions.ts';
import { type Config, defaultConfig } from './schema.ts';
import { toFileForm } from './show.ts';

/** One key that can be written but that this version does not act on. */
type NotYet = {
  readonly path: string;
  /** Default: a warning that it has no effect. */
  readonly message?: string;
  /** Default `warning`; an error where going on would do something else than what was asked for. */
  readonly severity?: Finding['severity'];
  readonly hint?: string;
  /** Narrows it down: whether a value that differs from the default asks for it. Default: it always does. */
  readonly isWanted?: (config: Config) => boolean;
};

const NO_EFFECT = 'has no effect in this version yet.';

/**
 * What the file accepts and this version does not do. Keys stay in the file format so that a configuration need not change
 * when the feature arrives; the entry here is removed together with that arrival.
 */
const NOT_YET: readonly NotYet[] = [
  { path: 'ia.bandwidth_limit' },
  { path: 'ia.multipart_above' },
  { path: 'publish.gist.enabled' },
  { path: 'publish.pastebin.enabled' },
  { path: 'publish.academic_torrents.enabled' },
  {
    path: 'monitoring.auth',
    message: 'is basic, which has no effect in this version yet: no page asks for a password.',
  },
  { path: 'monitoring.heartbeat_url' },
  { path: 'alerts.email.enabled' },
  { path: 'alerts.webhook' },
];

/** Findings for everything that the configuration asks for and this version does not do; pure. */
export function findNotYet(config: Config): readonly Finding[] {
  const written = toFileForm(config);
  const defaults = toFileForm(defaultConfig());
  return NOT_YET.flatMap(({ path, message, severity, hint, isWanted }) => {
    const keys = path.split('.');
    const isChanged = JSON.stringify(valueAt(written, keys)) !== JSON.stringify(valueAt(defaults, keys));
    if (!isChanged || isWanted?.(config) === false) return [];
    return [{ path: keys, message: message ?? NO_EFFECT, hint, severity: severity ?? 'warning' }];
  });
}

function valueAt(file: unknown, keys: readonly string[]): unknown {
  return keys.reduce<unknown>((group, key) => (group as Record<string, unknown> | undefined)?.[key], file);
}
