import { createHash } from 'node:crypto';
import { constants, copyFileSync, createReadStream, createWriteStream, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import Database from 'better-sqlite3';
import { answer, type Tell } from './answer.worker.ts';
import { needNoLog } from './no-log.worker.ts';
import { UNPACKS_TO_TOO_MUCH, type UnpackTask } from './protocol.ts';

const BLOCK_BYTES = 2 ** 18;

answer({
  async unpack(task, tell) {
    const { form, source, target } = task;
    let sha256: string | null = null;
    if (form === 'packed') sha256 = await gunzip(task, tell);
    else if (form === 'plain') copyFileSync(source, target, constants.COPYFILE_EXCL);
    else foldIn(source, target);
    needNoLog(target);
    return { sha256, databaseBytes: statSync(target).size };
  },
});

/** @returns SHA-256 of the packed bytes, all of them: gunzip alone does not look at what follows its end */
async function gunzip({ source, target, ...limits }: UnpackTask, tell: Tell): Promise<string> {
  const totalBytes = statSync(source).size;
  const hash = createHash('sha256');
  let readBytes = 0;
  await pipeline(
    createReadStream(source, { highWaterMark: BLOCK_BYTES }),
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        readBytes += chunk.length;
        tell(readBytes, totalBytes);
        done(null, chunk);
      },
    }),
    createGunzip({ chunkSize: BLOCK_BYTES }),
    refuseTooMuch(limits),
    createWriteStream(target, { mode: 0o600, flags: 'wx' }),
  );
  return hash.digest('hex');
}

/** A few megabytes of gzip can fill any disk. */
function refuseTooMuch({ maxBytes, roomBytes }: Pick<UnpackTask, 'maxBytes' | 'roomBytes'>): Transform {
  let bytes = 0;
  const refuse = (code: string, message: string): Error => Object.assign(new Error(message), { code });
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) done(refuse(UNPACKS_TO_TOO_MUCH, `it holds more than ${maxBytes} bytes`));
      else if (bytes > roomBytes)
        done(refuse('ENOSPC', `it holds more than the ${roomBytes} bytes that are free`));
      else done(null, chunk);
    },
  });
}

/** A database with its log, both copied first: looking at what was put aside must not change it. */
function foldIn(folder: string, target: string): void {
  for (const suffix of ['', '-wal', '-journal']) {
    const part = join(folder, `jobs.db${suffix}`);
    if (existsSync(part)) copyFileSync(part, `${target}${suffix}`, constants.COPYFILE_EXCL);
  }
  const database = new Database(target);
  try {
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.pragma('journal_mode = DELETE');
  } finally {
    database.close();
  }
}
