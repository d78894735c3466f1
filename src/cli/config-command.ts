import { describeConfig, formatProblem, loadConfig, showConfig } from '../config/index.ts';
import { environmentFor } from './demo-files.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand } from './load.ts';
import { counted } from './words.ts';

/** `config check`: 0 when it can be used, 2 with all problems when not. */
export function configCheck(io: CliIo, options: { config?: string; json?: boolean }): number {
  const env = environmentFor(io, options.config);
  const result = loadConfig({ path: options.config ?? null, env, readTextFile: io.readTextFile });
  const problems = result.ok ? result.warnings : result.problems;
  if (options.json === true) printJson(io, { ok: result.ok, file: result.sourcePath, problems });
  else {
    for (const problem of problems) io.err.write(`${formatProblem(problem, result.sourcePath)}\n`);
    const errors = problems.filter((p) => p.severity === 'error').length;
    const warnings = problems.length - errors;
    const name = result.sourcePath ?? 'no configuration file, only defaults';
    const counts = `${counted(errors, 'error')}, ${counted(warnings, 'warning')}`;
    io.out.write(`${name}: ${result.ok && problems.length === 0 ? 'ok' : counts}\n`);
  }
  return result.ok ? EXIT.ok : EXIT.usage;
}

/** `config show`: the effective values as YAML or JSON. */
export function configShow(io: CliIo, options: { config?: string; json?: boolean }): number {
  const { config, secretOrigins } = loadForCommand(io, options.config);
  if (options.json === true) printJson(io, describeConfig(config, secretOrigins));
  else io.out.write(showConfig(config, secretOrigins));
  return EXIT.ok;
}
