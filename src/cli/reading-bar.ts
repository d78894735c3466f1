import cliProgress from 'cli-progress';
import { formatBytes } from '../lib/index.ts';
import type { CliIo } from './io.ts';
import { counted } from './words.ts';

/** How far the reading of many files is. */
export interface ReadingProgress {
  doneBytes: number;
  totalBytes: number;
  doneFiles: number;
  totalFiles: number;
}

/** A bar on standard error when that is a terminal. */
export function showReadingBar(io: CliIo): { show(progress: ReadingProgress): void; stop(): void } {
  const stream = io.err;
  if (!('isTTY' in stream) || stream.isTTY !== true || !('cursorTo' in stream))
    return { show: () => {}, stop: () => {} };
  let bar: cliProgress.SingleBar | null = null;
  return {
    show({ doneBytes, totalBytes, doneFiles, totalFiles }) {
      const facts = {
        facts: `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}, ${doneFiles} of ${counted(totalFiles, 'file')}`,
      };
      if (bar === null) {
        bar = new cliProgress.SingleBar(
          {
            stream: stream as NodeJS.WriteStream,
            format: 'reading {bar} {percentage} %  {facts}',
            barsize: 20,
            hideCursor: true,
            clearOnComplete: true,
            gracefulExit: false,
            fps: 4,
          },
          cliProgress.Presets.shades_classic,
        );
        bar.start(totalBytes, 0, facts);
      }
      bar.update(doneBytes, facts);
    },
    stop: () => bar?.stop(),
  };
}
