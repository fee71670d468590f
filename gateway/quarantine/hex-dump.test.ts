import { expect, test } from 'vitest';
import { hexDump } from './hex-dump.ts';

test('bytes are dumped sixteen to a line, with their offset and printable characters', () => {
  const bytes = Buffer.from([...Buffer.from('ABC |~'), 0x7f, 0x80, 0xff, 0, 10, 13, 27, 32, 47, 48, 1]);
  expect(hexDump(bytes)).toBe(`\
00000000  41 42 43 20 7c 7e 7f 80 ff 00 0a 0d 1b 20 2f 30  |ABC |~....... /0|
00000010  01                                               |.|
`);
});

test('no bytes are no lines', () => {
  expect(hexDump(Buffer.alloc(0))).toBe('');
});
