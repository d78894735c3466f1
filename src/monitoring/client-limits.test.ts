import { expect, test } from 'vitest';
import { clientOf } from './client-limits.ts';

test.each([
  ['nobody in between', '192.0.2.1', undefined, [], '192.0.2.1'],
  ['a header of a client is not believed', '192.0.2.1', '198.51.100.1', [], '192.0.2.1'],
  ['a proxy of ours is', '127.0.0.1', '198.51.100.1', ['127.0.0.1'], '198.51.100.1'],
  ['what stood there before is not', '127.0.0.1', '203.0.113.9, 198.51.100.1', ['127.0.0.1'], '198.51.100.1'],
  [
    'two proxies of ours',
    '::ffff:10.0.0.1',
    '198.51.100.1, 10.0.0.2',
    ['10.0.0.1', '10.0.0.2'],
    '198.51.100.1',
  ],
  ['a network of proxies', '10.1.2.3', '198.51.100.1, 10.9.9.9', ['10.0.0.0/8'], '198.51.100.1'],
  ['a proxy in another spelling', '::1', '198.51.100.1', ['0:0:0:0:0:0:0:1'], '198.51.100.1'],
  ['a proxy that says nothing', '127.0.0.1', undefined, ['127.0.0.1'], '127.0.0.1'],
  ['no address', '127.0.0.1', 'unknown', ['127.0.0.1'], '127.0.0.1'],
  ['IPv4 written as IPv6', '::ffff:192.0.2.1', undefined, [], '192.0.2.1'],
  ['one IPv6 network is one client', '2001:db8:1:2:aaaa::1', undefined, [], '2001:db8:1:2::/64'],
  ['short forms of it as well', '2001:db8::1', undefined, [], '2001:db8:0:0::/64'],
])('%s', (_what, remote, header, trusted, client) => {
  expect(clientOf(remote, header, trusted)).toBe(client);
});
