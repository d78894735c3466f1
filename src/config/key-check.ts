import { fieldAt, keyPaths } from './fields.ts';
import { configSection } from './schema.ts';
import { secretVariableFor } from './secrets.ts';
import { nearestName } from './suggest.ts';

/** What is wrong with a key that the schema does not know, in words that follow its path. */
export type KeyVerdict = { readonly message: string; readonly hint?: string };

// Names from the first designs, still found in people's files.
const FORMER_NAMES: Readonly<Record<string, string>> = {
  chunk_size_mb: 'download.segment_size',
  chunk_size: 'download.segment_size',
  bandwidth_limit_mbps: 'download.bandwidth_limit',
  wikimedia_mirrors: 'download.mirrors',
  max_storage_gb: 'storage.max_size',
  dumps_path: 'wikiseed.data_dir',
  torrents_path: 'wikiseed.data_dir',
  webseeds_enabled: 'torrents.webseeds',
  piece_size_mb: 'torrents.piece_length',
  web_ui_port: 'monitoring.port',
};

const ALL_PATHS = keyPaths(configSection);

/** Explains an unknown key: a secret in the wrong place, a slip of the pen, a key of another section, or none of these. */
export function judgeUnknownKey(path: readonly string[]): KeyVerdict {
  const key = path.at(-1) ?? '';
  const variable = secretVariableFor(path);
  if (variable !== null) return secretVerdict(variable);
  const message = 'is not a known key.';
  const siblings = Object.keys(siblingsOf(path));
  const near = nearestName(key, siblings);
  if (near !== null) return { message, hint: `Did you mean ${near}?` };
  const elsewhere =
    FORMER_NAMES[key] ??
    ALL_PATHS.find((known) => known.endsWith(`.${key}`) || (path.length > 1 && known === key));
  if (elsewhere !== undefined) return { message, hint: `Did you mean ${elsewhere}?` };
  return siblings.length > 0 && siblings.length <= 20
    ? { message, hint: `Known here: ${siblings.join(', ')}.` }
    : { message };
}

function secretVerdict(variable: string): KeyVerdict {
  const message = 'is a secret and must not be in the configuration file, which is copied and shown.';
  if (variable === '') return { message, hint: 'Remove it; secrets come from the environment.' };
  const hint = `Put it in the environment as ${variable}, or in a file named by ${variable}_FILE, and change it if others could read this file.`;
  return { message, hint };
}

function siblingsOf(path: readonly string[]): Readonly<Record<string, unknown>> {
  const group = path.slice(0, -1);
  return group.length === 0 ? configSection.fields : (fieldAt(configSection, group)?.section?.fields ?? {});
}
