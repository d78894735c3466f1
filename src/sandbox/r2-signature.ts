import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Why a request is refused, as an S3 error code; null when its signature is good. */
export type SignatureFault = 'AccessDenied' | 'InvalidAccessKeyId' | 'SignatureDoesNotMatch' | null;

interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
}

/**
 * Checks the `Authorization` header of AWS Signature Version 4.
 * Presigned addresses and chunk signatures are not supported: the SDK uses neither with known bodies.
 * @see AWS General Reference, "Create a signed AWS API request"
 */
export function checkSignature(req: IncomingMessage, credentials: Credentials): SignatureFault {
  const header = req.headers.authorization ?? '';
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
      header,
    );
  if (!match) return 'AccessDenied';
  const [, accessKeyId, scope = '', signedHeaders = '', signature] = match;
  if (accessKeyId !== credentials.accessKeyId) return 'InvalidAccessKeyId';
  const canonical = canonicalRequest(req, signedHeaders);
  const toSign = ['AWS4-HMAC-SHA256', req.headers['x-amz-date'], scope, sha256(canonical)].join('\n');
  let key: Buffer = Buffer.from(`AWS4${credentials.secretAccessKey}`);
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  const expected = createHmac('sha256', key).update(toSign).digest('hex');
  return expected === signature ? null : 'SignatureDoesNotMatch';
}

function canonicalRequest(req: IncomingMessage, signedHeaders: string): string {
  const url = new URL(req.url ?? '/', 'http://127.0.0.1');
  const encode = (text: string): string =>
    encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const path = (req.url ?? '/').split('?')[0] ?? '/';
  const query = [...url.searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .toSorted()
    .join('&');
  const headers = signedHeaders.split(';').map((name) => {
    const value = req.headers[name];
    return `${name}:${(Array.isArray(value) ? value.join(',') : (value ?? '')).trim().replace(/ +/g, ' ')}\n`;
  });
  const payload = req.headers['x-amz-content-sha256'];
  return [req.method, path, query, headers.join(''), signedHeaders, payload].join('\n');
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
