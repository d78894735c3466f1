import { z } from 'zod';

/**
 * The mould of every configuration section. A key is declared once: its name in the file, its name in the code with
 * the unit last, its kind, and its default as one would write it in the file. Reading, defaults, `config show`, the
 * suggestions for misspelt keys and the test of `config.example.yaml` all follow from that one line.
 */

/** How one value is checked, read from the file and written back. */
export type Kind<Value> = z.ZodType<Value, unknown>;

/** One key of a section. */
export type Field<Name extends string = string, Value = unknown> = {
  /** The property in `Config`, unit last: `segmentSizeBytes`. */
  readonly name: Name;
  readonly schema: Kind<Value>;
  /** The nested section this key opens, or null for a value. */
  readonly section: Section | null;
  /** The default in file form, `{}` for a section. */
  readonly fallback: unknown;
};

type Fields = Readonly<Record<string, Field<string, unknown>>>;

/** A group of keys: a strict map in the file, an object with camelCase names and units in the code. */
export type Section<Value = unknown> = {
  readonly fields: Fields;
  readonly schema: Kind<Value>;
};

type Named<F extends Fields> = {
  readonly [K in keyof F as F[K]['name']]: F[K] extends Field<string, infer Value> ? Value : never;
};

/** The object a section becomes in the code. */
export type ConfigOf<S> = S extends Section<infer Value> ? { [K in keyof Value]: Value[K] } : never;

/** Declares a key with its name in the code, its kind, and its default as written in the file. */
export function field<const Name extends string, Value>(
  name: Name,
  kind: Kind<Value>,
  fallback: unknown,
): Field<Name, Value> {
  return { name, schema: kind, section: null, fallback };
}

/** Declares a key that opens a nested section; leaving it out means all of its defaults. */
export function part<const Name extends string, Value>(
  name: Name,
  section: Section<Value>,
): Field<Name, { [K in keyof Value]: Value[K] }> {
  return { name, schema: section.schema, section, fallback: {} };
}

/**
 * Builds a section from its keys. Unknown keys are errors; missing keys take their defaults.
 * The schema works both ways: `decode` reads the file form, `encode` writes it.
 */
export function section<F extends Fields>(fields: F): Section<Named<F>> {
  const shape: Record<string, z.ZodType> = {};
  for (const [key, { schema, fallback }] of Object.entries(fields)) {
    shape[key] = schema.prefault(fallback as never);
  }
  const schema = z.codec(z.strictObject(shape, { error: mapWanted }), z.custom<Named<F>>(), {
    decode: (file) => {
      const entries = Object.entries(fields).map(([key, { name }]) => [name, file[key]]);
      return Object.fromEntries(entries) as Named<F>;
    },
    encode: (config) => {
      const values = config as Record<string, unknown>;
      return Object.fromEntries(Object.entries(fields).map(([key, { name }]) => [key, values[name]]));
    },
  });
  return { fields, schema: schema as unknown as Kind<Named<F>> };
}

function mapWanted(issue: { code?: string; input?: unknown }): string | undefined {
  if (issue.code !== 'invalid_type') return undefined;
  // The value itself is not repeated: what stands in the wrong place may well be a secret.
  const found = Array.isArray(issue.input) ? 'a list' : 'a single value';
  return `must be a group of keys, one "key: value" a line, but is ${found}.`;
}

/** Every key of a section and of the sections below it, as paths in file form: `publish.r2.bucket`. */
export function keyPaths(top: Section, prefix = ''): string[] {
  return Object.entries(top.fields).flatMap(([key, { section: below }]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    return below === null ? [path] : [path, ...keyPaths(below, path)];
  });
}

/** The declaration of one key, or null if there is none at that path. */
export function fieldAt(top: Section, path: readonly PropertyKey[]): Field | null {
  let current: Section | null = top;
  let found: Field | null = null;
  for (const key of path) {
    if (current === null || !Object.hasOwn(current.fields, key)) return null;
    found = current.fields[String(key)] ?? null;
    current = found?.section ?? null;
  }
  return found;
}

/** The part of a path that names a declared key: `download.mirrors[1]` lies in `download.mirrors`. */
export function fieldPathOf(top: Section, path: readonly PropertyKey[]): readonly PropertyKey[] {
  for (let length = path.length; length > 0; length -= 1) {
    if (fieldAt(top, path.slice(0, length)) !== null) return path.slice(0, length);
  }
  return path;
}

/** The default of a key as it would be written in the file. */
export function defaultText(key: Field): string {
  return typeof key.fallback === 'string' ? key.fallback || '""' : JSON.stringify(key.fallback);
}
