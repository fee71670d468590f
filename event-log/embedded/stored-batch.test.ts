import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BatchFormatError, BatchReader, encodeBatch } from './stored-batch.ts';

function readAll(reader: BatchReader) {
  const records = [];
  for (let record = reader.next(); record !== undefined; record = reader.next()) records.push(record);
  return records;
}

const record = fc.record({
  key: fc.string({ unit: 'grapheme' }),
  value: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});
const records = fc.array(record, { minLength: 1, maxLength: 30 });

test('the bytes are those that FORMAT.md draws', () => {
  const bytes = encodeBatch(258n, 1_732_460_000_123, [
    { key: 'd1', value: Buffer.from('x') },
    { key: '', value: Buffer.alloc(0) },
  ]);
  expect(bytes.toString('hex')).toBe(
    [
      '01000000', // version, reserved
      '6495e2c2', // CRC-32 of what follows
      '0000000000000102', // base offset
      '000001935ea9b37b', // log time
      '00000002', // count
      '0000000200000001643178', // key length, value length, key, value
      '0000000000000000',
    ].join(''),
  );
});

test('any records come back in order with their offsets and log time', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 63n }),
      fc.maxSafeNat(),
      records,
      (base, logTime, written) => {
        const read = readAll(new BatchReader(encodeBatch(base, logTime, written)));
        expect(read.map(({ key, value }) => ({ key: key.toString(), value }))).toEqual(written);
        expect(read.map(({ offset }) => offset)).toEqual(written.map((_, i) => base + BigInt(i)));
        expect(read.every((each) => each.logTime === logTime)).toBe(true);
      },
    ),
  );
});

test('a reader that skips gives the records from there on', () => {
  fc.assert(
    fc.property(records, fc.nat(), (written, at) => {
      const reader = new BatchReader(encodeBatch(100n, 1, written));
      const from = at % written.length;
      reader.skipTo(100n + BigInt(from));
      expect(readAll(reader).map(({ value }) => value)).toEqual(
        written.slice(from).map(({ value }) => value),
      );
    }),
  );
});

describe('damage', () => {
  test('any changed or missing byte is noticed', () => {
    fc.assert(
      fc.property(records, fc.nat(), fc.integer({ min: 1, max: 255 }), (written, at, flip) => {
        const bytes = encodeBatch(7n, 9, written);
        const changed = Buffer.from(bytes);
        const place = at % bytes.length;
        // Bytes 1 to 3 are reserved.
        fc.pre(place === 0 || place > 3);
        changed[place] = (changed[place] ?? 0) ^ flip;
        expect(() => new BatchReader(changed)).toThrow(BatchFormatError);
        expect(() => new BatchReader(bytes.subarray(0, place))).toThrow(BatchFormatError);
      }),
    );
  });

  test('a later version is refused by its number', () => {
    const bytes = encodeBatch(7n, 9, [{ key: 'a', value: Buffer.alloc(0) }]);
    bytes[0] = 2;
    expect(() => new BatchReader(bytes)).toThrow('unknown version 2');
  });
});
