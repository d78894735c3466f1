import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../src/cli/table.ts';
import { type MeasuredFigure, plainFigure } from './figure.ts';
import { type Machine, readMachine, readVersions } from './machine.ts';
import { BENCHMARKS } from './registry.ts';

const USAGE = 2;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const parsed = parse(args);
  if (parsed === null || parsed.names.length > 1) {
    process.stderr.write('usage: npm run bench -- <name> [--json]\n');
    return USAGE;
  }
  const [name] = parsed.names;
  if (name === undefined) {
    process.stdout.write(`${list()}\n`);
    return 0;
  }
  const entry = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
  if (entry === undefined) {
    process.stderr.write(`There is no benchmark "${name}". There are:\n${list()}\n`);
    return USAGE;
  }
  if (entry.load === null) {
    process.stderr.write(`${name}: not measured yet\n`);
    return USAGE;
  }

  const folder = temporaryFolder();
  try {
    const machine = readMachine();
    const module = await entry.load();
    const note = (text: string): void => {
      process.stderr.write(`${name}: ${text}\n`);
    };
    const result = await module.run({ folder, note });
    const versions = { ...readVersions(), ...result.versions };
    process.stdout.write(
      `${entry.question}\n\n${tableOf(result.figures)}\n\n${context(machine, versions)}\n`,
    );
    if (parsed.json) {
      const figures = result.figures.map(plainFigure);
      process.stdout.write(`${JSON.stringify({ bench: name, machine, versions, figures })}\n`);
    }
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function parse(args: readonly string[]): { names: string[]; json: boolean } | null {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false } },
    });
    return { names: positionals, json: values.json };
  } catch {
    return null;
  }
}

/** Gigabytes of test data must not stay behind, so an interruption removes them too. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-bench-'));
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(signal, () => {
      rmSync(folder, { recursive: true, force: true });
      process.exit(code);
    });
  return folder;
}

function list(): string {
  const rows = Object.entries(BENCHMARKS).map(([name, { question, load }]) => [
    name,
    load === null ? `${question} (not measured yet)` : question,
  ]);
  return formatTable(rows, { indent: '  ' });
}

function tableOf(figures: readonly MeasuredFigure[]): string {
  const number = (value: number | null): string => (value === null ? '-' : value.toLocaleString('en-GB'));
  const rows = figures.map((figure) => [
    figure.name,
    number(figure.ours),
    number(figure.worst),
    number(figure.theirs),
    number(figure.worstOfTheirs),
    number(figure.ratio),
    figure.unit,
    figure.target ?? '-',
    figure.met === null ? '-' : figure.met ? 'yes' : 'NO',
  ]);
  const heads = ['figure', 'ours', 'worst', 'theirs', 'their worst', 'ratio', 'unit', 'target', 'met'];
  return formatTable(rows, { heads, numbers: [1, 2, 3, 4, 5] });
}

function context(machine: Machine, versions: Readonly<Record<string, string>>): string {
  const software = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `machine: ${machine.platform} ${machine.architecture}, ${machine.processor}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.fileSystem}, load ${machine.loadBefore} before`,
    `versions: ${software.join(', ')}`,
  ].join('\n');
}
