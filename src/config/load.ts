import { findContradictions } from './contradictions.ts';
import { defaultText, fieldAt, fieldPathOf } from './fields.ts';
import { judgeUnknownKey } from './key-check.ts';
import { type Problem, pathText } from './problem.ts';
import { type Config, configSection } from './schema.ts';
import {
  type Environment,
  loadSecrets,
  type ReadTextFile,
  reasonOf,
  type SecretOrigins,
  type Secrets,
} from './secrets.ts';
import { readYaml, type YamlSource } from './yaml-source.ts';

/** What `loadConfig` needs of the world. */
export type LoadOptions = {
  /** From `--config`; null = search. */
  readonly path: string | null;
  readonly env: Environment;
  readonly readTextFile: ReadTextFile;
};

/** The outcome: a configuration to run with, or all that stands in its way. Nothing is thrown for bad input. */
export type LoadResult =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly secrets: Secrets;
      readonly secretOrigins: SecretOrigins;
      readonly warnings: readonly Problem[];
      /** The file that was read; null = no file anywhere, all defaults. */
      readonly sourcePath: string | null;
    }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly sourcePath: string | null };

/** Where a configuration is looked for when none is named. */
export const DEFAULT_PATHS = ['./config.yaml', '/etc/wikiseed/config.yaml'] as const;

type Path = readonly PropertyKey[];

/**
 * Finds, reads and checks the configuration and its secrets, and reports every problem at once.
 * Search order: `path`, `WIKISEED_CONFIG`, `./config.yaml`, `/etc/wikiseed/config.yaml`; the first two must exist if named.
 * Errors and warnings come in the order of the file, those without a line last.
 */
export function loadConfig(options: LoadOptions): LoadResult {
  const found = findFile(options);
  if (found.problem !== null) return { ok: false, problems: [found.problem], sourcePath: found.sourcePath };
  const { secrets, origins, problems: secretProblems } = loadSecrets(options);
  const checked = checkText(found.text, secrets);
  const problems = [...checked.problems, ...secretProblems].sort(byPlace);
  const { sourcePath } = found;
  if (checked.config === null || problems.some(({ severity }) => severity === 'error')) {
    return { ok: false, problems, sourcePath };
  }
  const { config } = checked;
  return { ok: true, config, secrets, secretOrigins: origins, warnings: problems, sourcePath };
}

function byPlace(one: Problem, other: Problem): number {
  const far = Number.MAX_SAFE_INTEGER;
  return (one.line ?? far) - (other.line ?? far) || (one.column ?? 0) - (other.column ?? 0);
}

type FoundFile = { text: string | null; sourcePath: string | null; problem: Problem | null };

function findFile({ path, env, readTextFile }: LoadOptions): FoundFile {
  const variable = env.WIKISEED_CONFIG;
  const fromVariable = variable === undefined || variable === '' ? null : variable;
  const named = path ?? fromVariable;
  for (const candidate of named === null ? DEFAULT_PATHS : [named]) {
    const failed = (message: string, hint?: string): FoundFile => {
      const problem: Problem = { path: '', line: null, column: null, message, hint, severity: 'error' };
      return { text: null, sourcePath: candidate, problem };
    };
    try {
      const text = readTextFile(candidate);
      if (text !== null) return { text, sourcePath: candidate, problem: null };
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === 'EISDIR') return failed(`The configuration file ${candidate} is a folder, not a file.`);
      return failed(`The configuration file ${candidate} cannot be read: ${reason}.`);
    }
    if (named === null) continue;
    const namer = path === null ? 'WIKISEED_CONFIG' : '--config';
    return failed(
      `The configuration file ${candidate}, named by ${namer}, does not exist.`,
      'config.example.yaml is a good start.',
    );
  }
  return { text: null, sourcePath: null, problem: null };
}

/** Checks one configuration text, null if there is no file; `config` is null if there are errors too deep to fill in defaults. */
function checkText(
  text: string | null,
  secrets: Secrets,
): { config: Config | null; problems: readonly Problem[] } {
  const source = readYaml(text ?? '');
  const raw = source.value ?? {};
  // After a slip in the YAML itself the structure is a guess; whatever is said of keys and values would only mislead.
  if (!source.isTrusted) return { config: null, problems: source.problems };
  if (typeof raw !== 'object' || Array.isArray(raw)) {
    const found = Array.isArray(raw) ? 'a list' : 'a single value';
    const message = `The file must be a group of sections such as "download:", but is ${found}.`;
    return {
      config: null,
      problems: [...source.problems, at(source, [], 'value', { message, severity: 'error' })],
    };
  }
  const values = structuredClone(raw) as Record<string, unknown>;
  const problems = emptySections(values, source);
  if (text !== null && source.value === null) {
    const message = 'The file has no settings, so all defaults apply.';
    problems.push({ path: '', line: null, column: null, message, severity: 'warning' });
  }
  const { config, wrong, problems: schemaProblems } = checkValues(values, source);
  problems.push(...schemaProblems);
  if (config !== null) {
    for (const finding of findContradictions(config, secrets)) {
      const grounds = [finding.path, ...(finding.because ?? [])];
      if (grounds.some((ground) => wrong.some((path) => overlaps(path, ground)))) continue;
      const { path, message, hint, severity } = finding;
      problems.push(at(source, path, 'value', { message, hint, severity }));
    }
  }
  return { config, problems: [...source.problems, ...problems] };
}

type Details = Pick<Problem, 'message' | 'hint' | 'severity'>;

function at(source: YamlSource, path: Path, part: 'key' | 'value', details: Details): Problem {
  const place = source.locate(path, part);
  const { message, hint, severity } = details;
  return {
    path: pathText(path),
    line: place?.line ?? null,
    column: place?.column ?? null,
    message,
    ...(hint === undefined ? {} : { hint }),
    severity,
  };
}

/** Replaces sections without any key by their defaults, with a warning: all lines below were probably commented out. */
function emptySections(values: Record<string, unknown>, source: YamlSource, path: Path = []): Problem[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const here = [...path, key];
    if (!fieldAt(configSection, here)?.section) return [];
    if (value === null) {
      values[key] = {};
      const message = 'has no keys, so its defaults apply.';
      return [at(source, here, 'key', { message, severity: 'warning' })];
    }
    const isGroup = typeof value === 'object' && !Array.isArray(value);
    return isGroup ? emptySections(value as Record<string, unknown>, source, here) : [];
  });
}

/** Checks the values against the schema, then once more without the wrong ones, so that contradictions of the rest show too. */
function checkValues(
  values: Record<string, unknown>,
  source: YamlSource,
): { config: Config | null; wrong: readonly Path[]; problems: readonly Problem[] } {
  const first = configSection.schema.safeDecode(values);
  if (first.success) return { config: first.data as Config, wrong: [], problems: [] };
  const problems: Problem[] = [];
  const wrong: Path[] = [];
  for (const issue of first.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const path = [...issue.path, key];
        wrong.push(path);
        const verdict = judgeUnknownKey(path.map(String));
        problems.push(at(source, path, 'key', { ...verdict, severity: 'error' }));
      }
      continue;
    }
    wrong.push(fieldPathOf(configSection, issue.path));
    problems.push(at(source, issue.path, 'value', { ...explain(values, issue), severity: 'error' }));
  }
  for (const path of wrong) remove(values, path);
  const second = configSection.schema.safeDecode(values);
  return { config: second.success ? (second.data as Config) : null, wrong, problems };
}

function explain(values: unknown, issue: { path: Path; message: string }): { message: string } {
  const value = issue.path.reduce<unknown>(
    (group, key) => (group as Record<PropertyKey, unknown> | null)?.[key],
    values,
  );
  const field = fieldAt(configSection, issue.path);
  if (value !== null || field === null) return { message: issue.message };
  return {
    message: `has no value: write one, or remove the line to use the default (${defaultText(field)}).`,
  };
}

function remove(values: Record<string, unknown>, path: Path): void {
  const group = path
    .slice(0, -1)
    .reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], values);
  const last = path.at(-1);
  if (typeof group === 'object' && group !== null && last !== undefined) Reflect.deleteProperty(group, last);
}

function overlaps(one: Path, other: Path): boolean {
  return one.every((key, index) => index >= other.length || key === other[index]);
}
