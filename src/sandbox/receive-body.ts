import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { crc32 } from 'node:zlib';

/** What arrived: length and hashes, lower-case hex. `md5Base64` is the form of the Content-MD5 header. */
export interface ReceivedBody {
  sizeBytes: number;
  md5: string;
  md5Base64: string;
  sha1: string;
  sha256: string;
  crc32: string;
}

/**
 * Writes a request's body to a file. An incomplete body leaves no file.
 * @param cutAtByte the connection is reset after so many bytes, to play a broken node; null for never
 * @returns null when the connection broke before the announced length had arrived
 */
export async function receiveToFile(
  req: IncomingMessage,
  path: string,
  cutAtByte: number | null = null,
): Promise<ReceivedBody | null> {
  const hashes = { md5: createHash('md5'), sha1: createHash('sha1'), sha256: createHash('sha256') };
  const file = createWriteStream(path);
  // Without a listener a full disk would end the process; the wait for the end below sees the error anyway.
  file.on('error', () => undefined);
  let sizeBytes = 0;
  let crc = 0;
  try {
    for await (const piece of req) {
      const data = piece as Buffer;
      sizeBytes += data.length;
      if (cutAtByte !== null && sizeBytes >= cutAtByte) {
        req.socket.resetAndDestroy();
        throw new Error('cut by the fault script');
      }
      for (const hash of Object.values(hashes)) hash.update(data);
      crc = crc32(data, crc);
      if (file.errored) throw file.errored;
      if (!file.write(data)) await once(file, 'drain');
    }
    file.end();
    await once(file, 'finish');
  } catch {
    file.destroy();
    // The file may not even be open yet: removing it before that would let it appear afterwards.
    if (!file.closed) await once(file, 'close');
    await rm(path, { force: true });
    return null;
  }
  const md5 = hashes.md5.digest();
  return {
    sizeBytes,
    md5: md5.toString('hex'),
    md5Base64: md5.toString('base64'),
    sha1: hashes.sha1.digest('hex'),
    sha256: hashes.sha256.digest('hex'),
    crc32: crc.toString(16).padStart(8, '0'),
  };
}

/** Reads a small body (a form, an XML list) into memory; longer than 1 MiB is refused with an error. */
export async function receiveText(req: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of req) {
    parts.push(piece as Buffer);
    sizeBytes += (piece as Buffer).length;
    if (sizeBytes > 1 << 20) throw new Error('body too long');
  }
  return Buffer.concat(parts).toString();
}

/** True when a Content-MD5 header, in hex or base64, names this body. */
export function matchesContentMd5(header: string, body: ReceivedBody): boolean {
  return header.toLowerCase() === body.md5 || header === body.md5Base64;
}
