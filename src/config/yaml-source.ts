import {
  type Document,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  Scalar,
  visit,
  type YAMLError,
} from 'yaml';
import { type Problem, pathText } from './problem.ts';

/** A configuration text, read as far as it can be read, with a way back from each key to its line. */
export type YamlSource = {
  /** The plain value of the text; null for an empty text or one that cannot be read at all. */
  readonly value: unknown;
  /** Mistakes of the YAML itself. */
  readonly problems: readonly Problem[];
  /** False when a mistake of the YAML makes the structure a guess. */
  readonly isTrusted: boolean;
  /** Where a key or value stands; of a key that is not in the text, its nearest group; null if that is the whole file. */
  locate(path: readonly PropertyKey[], part: 'key' | 'value'): { line: number; column: number } | null;
};

// The library's own words where they are clear, ours where an operator would wonder.
const EXPLANATIONS: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'is indented with a tab; YAML allows spaces only.',
  BAD_INDENT: 'is indented differently from the lines it belongs to.',
  MISSING_CHAR: 'lacks a closing quote, a closing bracket or a comma.',
  MULTILINE_IMPLICIT_KEY: 'runs over several lines: is there a ":" missing after the key?',
  BLOCK_AS_IMPLICIT_KEY: 'nests a group in the same line as its key: is a line break or a quote missing?',
  MULTIPLE_DOCS: 'contains a second document after "---"; only one is allowed.',
  BAD_ALIAS: 'uses an alias (*name) wrongly; a glob such as "*wiki" must be in quotes.',
};

/** Parses YAML 1.2 and remembers positions. Never throws: what is wrong is in `problems`. */
export function readYaml(text: string): YamlSource {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true });
  const place: Place = (offset) => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const problems: Problem[] = [];
  let isTrusted = true;
  for (const error of document.errors) {
    const { line, column } = place(error.pos[0]);
    if (error.code === 'DUPLICATE_KEY') {
      problems.push(duplicateKey(document, error, place));
      continue;
    }
    isTrusted = false;
    // One slip makes the parser stumble over several things; a line is reported once.
    if (problems.some((problem) => problem.line === line)) continue;
    // An open bracket shows as an indentation that ends too early.
    const code = /^Flow (map|sequence) in block/.test(error.message) ? 'MISSING_CHAR' : error.code;
    const explained = EXPLANATIONS[code] ?? `is not valid YAML: ${withoutFinalStop(error.message)}.`;
    problems.push({ path: '', line, column, message: `This line ${explained}`, severity: 'error' });
  }
  problems.push(...looseAliases(document, place));
  const { value, failure } = plainValue(document);
  if (failure !== null) {
    isTrusted = false;
    const message = `The file cannot be read: ${failure}.`;
    problems.push({ path: '', line: null, column: null, message, severity: 'error' });
  }
  return {
    value,
    problems,
    isTrusted,
    locate: (path, part) => {
      const offset = offsetOf(document, path, part);
      return offset === null ? null : place(offset);
    },
  };
}

function plainValue(document: Document): { value: unknown; failure: string | null } {
  try {
    return { value: document.toJS({ maxAliasCount: 100 }), failure: null };
  } catch (error) {
    // An alias that would unfold without end.
    return { value: null, failure: withoutFinalStop(error instanceof Error ? error.message : String(error)) };
  }
}

type Place = (offset: number) => { line: number; column: number };

/** Aliases without an anchor are globs that lack their quotes; each is taken as the text that was meant, so that the rest can be checked. */
function looseAliases(document: Document, place: Place): Problem[] {
  const problems: Problem[] = [];
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return undefined;
      const message = `*${alias.source} must be in quotes: without them, * refers to another place in the file.`;
      const { line, column } = place(alias.range?.[0] ?? 0);
      problems.push({
        path: '',
        line,
        column,
        message,
        hint: `Write "*${alias.source}".`,
        severity: 'error',
      });
      const text = new Scalar(`*${alias.source}`);
      text.range = alias.range;
      return text;
    },
  });
  return problems;
}

function withoutFinalStop(sentence: string): string {
  return sentence.replace(/\.$/, '');
}

function duplicateKey(document: Document, error: YAMLError, place: Place): Problem {
  const { line, column } = place(error.pos[0]);
  const found = keyStartingAt(document.contents, error.pos[0], []);
  const first = found === null ? null : offsetOf(document, found, 'key');
  const where = first === null ? '' : `; the first time is line ${place(first).line}`;
  return {
    path: found === null ? '' : pathText(found),
    line,
    column,
    message: `is written twice in the same group${where}.`,
    hint: 'Keep one of them.',
    severity: 'error',
  };
}

function keyStartingAt(node: unknown, offset: number, path: PropertyKey[]): PropertyKey[] | null {
  if (!isMap(node)) return null;
  for (const pair of node.items) {
    if (!isPair(pair) || !isScalar(pair.key)) continue;
    const here = [...path, String(pair.key.value)];
    if (pair.key.range?.[0] === offset) return here;
    const below = keyStartingAt(pair.value, offset, here);
    if (below !== null) return below;
  }
  return null;
}

/** The offset of the deepest part of the path that is in the text. */
function offsetOf(document: Document, path: readonly PropertyKey[], part: 'key' | 'value'): number | null {
  let node: unknown = document.contents;
  let offset: number | null = null;
  for (const [index, name] of path.entries()) {
    const isLast = index === path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(name));
      if (pair === undefined) return offset;
      const keyOffset: number | null = isScalar(pair.key) ? (pair.key.range?.[0] ?? null) : null;
      const hasValue = isScalar(pair.value)
        ? pair.value.source !== '' && pair.value.range !== null
        : pair.value !== null;
      offset = isLast && part === 'value' && hasValue ? (rangeStart(pair.value) ?? keyOffset) : keyOffset;
      node = pair.value;
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(name)];
      const start = rangeStart(item);
      if (start === null) return offset;
      offset = start;
      node = item;
    } else {
      return offset;
    }
  }
  return offset;
}

function rangeStart(node: unknown): number | null {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range?.[0] ?? null;
}
