import { expect, it } from 'vitest';
import { parseServerAddress } from './server-address.ts';

it.each([
  ['mqtt://broker', { host: 'broker', port: 1_883 }],
  ['mqtt://127.0.0.1:18830', { host: '127.0.0.1', port: 18_830 }],
  ['mqtt://[::1]:1884', { host: '::1', port: 1_884 }],
  ['mqtt://user:p%40ss@broker:1', { host: 'broker', port: 1, username: 'user', password: 'p@ss' }],
])('the parts of %s', (url, address) => {
  expect(parseServerAddress(url)).toEqual(address);
});
