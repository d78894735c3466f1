import { nearestName } from '../config/index.ts';
import { UsageError } from '../lib/index.ts';
import type { Scope } from '../queue/index.ts';
import { wordsOf } from './operator-words.ts';

/** A change that was refused, with the status that says why over HTTP: 400 not understood, 404 no such thing, 409 not now. */
export class RefusedChange extends UsageError {
  readonly status: 400 | 404 | 409;
  constructor(status: 400 | 404 | 409, message: string, hint?: string) {
    super(message, hint);
    this.status = status;
  }
}

/** Names that a scope may use. */
export interface KnownNames {
  types: readonly string[];
  targets: readonly string[];
}

/** Longest name that is looked at; ours are much shorter. */
export const NAME_MAX = 100;

/**
 * What an operator means by a name: `all`, `type:<name>`, `target:<name>`, or the name alone, as stored (`upload_ia`) or in the words
 * of the pages (`upload to the Internet Archive`). Pure.
 * @returns one scope, or the job type and the target when both have that name
 * @throws RefusedChange 404 with the nearest name, 400 for an empty one
 */
export function scopesOf(text: string, known: KnownNames): Scope[] {
  const asked = text.trim();
  if (asked === '') throw new RefusedChange(400, 'no name was given', 'Name a job type, a target, or all.');
  if (asked.toLowerCase() === 'all') return [{ kind: 'all' }];
  const [, prefix, rest] = /^(type|target):(.*)$/s.exec(asked) ?? [];
  const name = (rest ?? asked).trim();
  const scopes: Scope[] = [];
  if (prefix !== 'target')
    for (const found of named(name, known.types)) scopes.push({ kind: 'type', name: found });
  if (prefix !== 'type')
    for (const found of named(name, known.targets)) scopes.push({ kind: 'target', name: found });
  if (scopes.length > 0) return scopes;
  throw unknown(name, prefix, known);
}

/** A job type as stored, from its name or its words; what is not known stays as it is. Pure. */
export function jobTypeOf(text: string, types: readonly string[]): string {
  return named(text.trim(), types)[0] ?? text.trim();
}

/** The known name that is written so or reads so; none or one. */
function named(asked: string, known: readonly string[]): string[] {
  const plain = (name: string): string => name.toLowerCase().replaceAll(/[\s_-]+/g, ' ');
  const found =
    known.find((name) => name === asked) ??
    known.find((name) => plain(name) === plain(asked) || plain(wordsOf(name)) === plain(asked));
  return found === undefined ? [] : [found];
}

function unknown(name: string, prefix: string | undefined, known: KnownNames): RefusedChange {
  const types = prefix === 'target' ? [] : [...known.types].sort();
  // A type that names no target is its own; once in the list is enough.
  const targets = prefix === 'type' ? [] : known.targets.filter((target) => !types.includes(target)).sort();
  const names = [...types, ...targets, ...(prefix === undefined ? ['all'] : [])];
  const near = nearestName(name, names) ?? nearestByWords(name, names);
  const lists = [
    types.length === 0 ? '' : `Job types: ${types.join(', ')}.`,
    targets.length === 0 ? '' : `Targets: ${targets.join(', ')}.`,
  ];
  const what = prefix === undefined ? 'job type or target' : prefix === 'type' ? 'job type' : 'target';
  const hint = [near === null ? '' : `Did you mean ${near}?`, ...lists]
    .filter((part) => part !== '')
    .join(' ');
  return new RefusedChange(404, `there is no ${what} ${JSON.stringify(name.slice(0, NAME_MAX))}`, hint);
}

function nearestByWords(asked: string, names: readonly string[]): string | null {
  const near = nearestName(asked, names.map(wordsOf));
  return names.find((name) => wordsOf(name) === near) ?? null;
}
