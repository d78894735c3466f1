import pino from 'pino';
import type { Log } from '../ports/index.ts';

/** Paths that never reach a log line, whatever a careless caller puts there. */
const REDACT = [
  'secret',
  'password',
  'token',
  '*.secret',
  '*.password',
  '*.token',
  '*.authorization',
  'headers.authorization',
];

/**
 * pino: one JSON line per fact on standard output, or in `file`. `pretty` writes for eyes instead.
 * @param level pino's words: trace, debug, info, warn, error, fatal, silent
 */
export function createLogger(options: { level: string; pretty?: boolean; file?: string }): Log {
  const settings: pino.LoggerOptions = {
    level: options.level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: REDACT,
    serializers: {
      err: (error: unknown) => (error instanceof Error ? pino.stdSerializers.err(error) : error),
    },
    formatters: { level: (label) => ({ level: label }) },
  };
  if (options.pretty === true)
    return pino(
      { ...settings, formatters: {} },
      pino.transport({ target: 'pino-pretty', options: { destination: 1 } }),
    );
  // Synchronous: the last lines before a crash are the ones that matter, and there are only a few a second.
  return pino(settings, pino.destination({ dest: options.file ?? 1, sync: true, mkdir: true }));
}
