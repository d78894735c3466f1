import { expect, test } from 'vitest';
import { networkList, parseNetwork } from './network.ts';

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['127.0.0.1', '::ffff:127.0.0.1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['::1', '0:0:0:0:0:0:0:1'],
  ['[::1]', '::1'],
  ['2001:DB8:0::0001', '2001:db8::1'],
  ['10.0.0.0/8', '10.200.3.4'],
  ['2001:db8::/32', '2001:db8:1::2'],
  ['fe80::/10', 'fe80::1%eth0'],
  ['0.0.0.0/0', '192.0.2.1'],
])('%s has %s', (network, address) => {
  expect(networkList([network])(address)).toBe(true);
});

test.each([
  ['127.0.0.1', '127.0.0.2'],
  ['10.0.0.0/8', '11.0.0.1'],
  ['::1', '::2'],
  ['0.0.0.0/0', '2001:db8::1'],
  ['::1', 'localhost'],
  ['::1', ''],
])('%s does not have %s', (network, address) => {
  expect(networkList([network])(address)).toBe(false);
});

test.each([
  'localhost',
  'proxy.example.org',
  '',
  '10.0.0.0/33',
  '::/129',
  '10.0.0.1:80',
  '10.0.0.0/',
  '/8',
  'fe80::1%eth0',
])('%j is no network', (text) => {
  expect(parseNetwork(text)).toBeNull();
});
