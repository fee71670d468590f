import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { reachableState, sealed } from './checkpoint.fixture.ts';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { GOLDEN_CONFIG, goldenState } from './checkpoint-golden.fixture.ts';
import { CheckpointDamagedError, FoldConfigChangedError } from './errors.ts';

const BODY_AT = 16;

/** Some way to damage bytes: where, what goes, and what comes instead. */
const damage = fc.record({ at: fc.nat(), cut: fc.nat(12), put: fc.uint8Array({ maxLength: 12 }) });

function damaged(
  bytes: Buffer,
  from: number,
  { at, cut, put }: typeof damage extends fc.Arbitrary<infer T> ? T : never,
) {
  const position = from + (at % (bytes.length - from));
  return Buffer.concat([bytes.subarray(0, position), put, bytes.subarray(position + cut)]);
}

describe('a damaged checkpoint is refused as such', () => {
  test('with a flipped bit', () => {
    fc.assert(
      fc.property(reachableState, fc.nat(), fc.nat(7), ({ config, state }, at, bit) => {
        const bytes = encodeCheckpoint(state, config);
        const position = at % bytes.length;
        bytes[position] = (bytes[position] ?? 0) ^ (1 << bit);
        expect(() => decodeCheckpoint(bytes, config)).toThrow(CheckpointDamagedError);
      }),
    );
  });

  test('cut off anywhere', () => {
    const bytes = encodeCheckpoint(goldenState(), GOLDEN_CONFIG);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeCheckpoint(bytes.subarray(0, length), GOLDEN_CONFIG)).toThrow(
        CheckpointDamagedError,
      );
    }
  });

  test('with bytes lost, changed or inserted', () => {
    fc.assert(
      fc.property(reachableState, damage, ({ config, state }, how) => {
        const bytes = encodeCheckpoint(state, config);
        const result = damaged(bytes, 0, how);
        fc.pre(!result.equals(bytes));
        expect(() => decodeCheckpoint(result, config)).toThrow(CheckpointDamagedError);
      }),
    );
  });

  test('with any other bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => decodeCheckpoint(Buffer.from(bytes), GOLDEN_CONFIG)).toThrow(CheckpointDamagedError);
      }),
    );
  });

  test.each([
    { at: 1, where: 0, what: 'it does not start as a checkpoint does' },
    { at: 8, where: 8, what: '654 bytes were written, 655 are there' },
    { at: 100, where: 12, what: 'checksum [0-9a-f]{8} where [0-9a-f]{8} was stored' },
  ])('and the error says where and what: $what', ({ at, where, what }) => {
    const bytes = encodeCheckpoint(goldenState(), GOLDEN_CONFIG);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const decode = () => decodeCheckpoint(bytes, GOLDEN_CONFIG);
    expect(decode).toThrow(new RegExp(`^the checkpoint is damaged at byte ${where}: ${what}$`));
  });
});

test('bytes that are wrong under a right checksum are refused, or are a state that the format can hold', () => {
  const refused = { yes: 0, no: 0 };
  fc.assert(
    fc.property(reachableState, fc.array(damage, { minLength: 10 }), ({ config, state }, ways) => {
      const whole = encodeCheckpoint(state, config);
      for (const how of ways) {
        try {
          encodeCheckpoint(decodeCheckpoint(sealed(damaged(whole, BODY_AT, how)), config), config);
          refused.no++;
        } catch (error) {
          if (!(error instanceof FoldConfigChangedError))
            expect(error).toBeInstanceOf(CheckpointDamagedError);
          refused.yes++;
        }
      }
    }),
    { numRuns: 300 },
  );
  expect(refused.yes).toBeGreaterThan(refused.no);
});
