import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c } from './crc32c.ts';

const crcOfKafkajs = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C');

// https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4
test.each([
  ['32 bytes of zeroes', Buffer.alloc(32), 0x8a9136aa],
  ['32 bytes of ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['32 incrementing bytes', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
  ['32 decrementing bytes', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c],
])('the CRC-32C of %s is that of RFC 3720', (_, bytes, expected) => {
  expect(crc32c(bytes, 0, bytes.length)).toBe(expected);
});

test('the CRC-32C of a part, of any length and at any place, is that which kafkajs computes', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), fc.nat(), (bytes, a, b) => {
    const [from = 0, to = 0] = [a % (bytes.length + 1), b % (bytes.length + 1)].sort((x, y) => x - y);
    expect(crc32c(bytes, from, to)).toBe(crcOfKafkajs(bytes.subarray(from, to)));
  });
  fc.assert(property);
});
