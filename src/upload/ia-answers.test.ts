import { expect, test } from 'vitest';
import { classifyArchiveAnswer } from './ia-answers.ts';

const xml = (code: string, message = '', resource = ''): string =>
  `<?xml version='1.0' encoding='UTF-8'?><Error><Code>${code}</Code><Message>${message}</Message><Resource>${resource}</Resource><RequestId>1</RequestId></Error>`;
const classify = (status: number, bodyText = '', headers = {}) =>
  classifyArchiveAnswer({ status, bodyText, headers });

/** One line for every row of the table in the contract with the archive. */
test.each([
  [200, '', 'ok', undefined],
  [400, xml('BadDigest'), 'retry', 'bad_digest'],
  [400, xml('InvalidDigest'), 'skip', 'refused'],
  [400, xml('InvalidArgument'), 'skip', 'refused'],
  [400, xml('InvalidURI'), 'skip', 'refused'],
  [400, xml('InvalidBucketName'), 'skip', 'refused'],
  [400, xml('KeyTooLong'), 'skip', 'refused'],
  [400, xml('MetadataTooLarge'), 'skip', 'refused'],
  [400, xml('IncompleteBody'), 'retry', 'connection_broke'],
  [400, xml('RequestTimeout'), 'retry', 'connection_broke'],
  [400, xml('EntityTooLarge'), 'skip', 'refused'],
  [400, xml('Other', 'You lack sufficient privileges to write to the collection x'), 'halt', 'no_right'],
  [403, xml('Other', 'This item belongs to someone else'), 'halt', 'no_right'],
  [401, '', 'halt', 'bad_credentials'],
  [403, xml('InvalidAccessKeyId'), 'halt', 'bad_credentials'],
  [403, xml('InvalidSecurity'), 'halt', 'bad_credentials'],
  [403, xml('SignatureDoesNotMatch'), 'halt', 'bad_credentials'],
  [403, xml('AccountProblem'), 'halt', 'bad_credentials'],
  [403, xml('NotSignedUp'), 'halt', 'bad_credentials'],
  [403, xml('AccessDenied', 'Access Denied'), 'halt', 'access_denied'],
  [403, '', 'halt', 'forbidden'],
  [404, xml('NoSuchBucket'), 'retry', 'no_such_item'],
  [405, '', 'skip', 'refused'],
  [411, xml('MissingContentLength'), 'skip', 'refused'],
  [412, '', 'skip', 'refused'],
  [415, '', 'skip', 'refused'],
  [501, '', 'skip', 'refused'],
  [409, xml('BucketAlreadyExists'), 'wait', 'create_race'],
  [409, xml('BucketAlreadyOwnedByYou'), 'wait', 'create_race'],
  [409, xml('OperationAborted'), 'wait', 'create_race'],
  [423, '', 'retry', 'locked'],
  [424, '', 'retry', 'locked'],
  [507, '', 'retry', 'locked'],
  [507, xml('Other', 'Your quota is used up'), 'halt', 'account_limit'],
  [403, xml('Other', 'Upload limit of this account reached'), 'halt', 'account_limit'],
  [429, '', 'wait', 'rate_limited'],
  [500, xml('InternalError'), 'retry', 'http_status'],
  [502, '', 'retry', 'http_status'],
  [504, '', 'retry', 'http_status'],
  [400, '<!DOCTYPE html><html><body>Sorry</body></html>', 'retry', 'http_status'],
  [503, xml('SlowDown', 'Please reduce your request rate.'), 'wait', 'overloaded'],
  [503, xml('SlowDown', '', 'total_tasks_queued exceeds 1799'), 'wait', 'overloaded'],
  [503, xml('SlowDown', 'Please reduce', 'Your upload appears to be spam.'), 'skip', 'refused_as_spam'],
] as const)('%i %s is %s', (status, body, kind, code) => {
  const verdict = classify(status, body);
  expect(verdict.kind).toBe(kind);
  expect('code' in verdict ? verdict.code : undefined).toBe(code);
});

test('says the code and the real reason, on one line', () => {
  const verdict = classify(
    503,
    xml('SlowDown', 'Please reduce\nyour request rate.', 'bucket_tasks_queued exceeds 24'),
  );
  expect(verdict).toMatchObject({
    reason:
      'the Internet Archive answered 503 SlowDown: Please reduce your request rate. bucket_tasks_queued exceeds 24',
  });
  expect(classify(502, '<html><style>a{}</style><b>Bad  gateway</b></html>')).toMatchObject({
    reason: 'the Internet Archive answered 502: Bad gateway',
  });
});

test('a named time wins over our own, but never shortens it', () => {
  expect(classify(429, '', { 'retry-after': '120' })).toMatchObject({ delayMs: 120_000 });
  expect(classify(429, '', { 'retry-after': '1' })).toMatchObject({ delayMs: 30_000 });
  expect(classify(500, '', { 'retry-after': '9999999' })).toMatchObject({ retryAfterMs: 6 * 3_600_000 });
});
