import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DurationError, formatDuration, parseDuration } from './duration.ts';

describe('durations', () => {
  it.each([
    ['500ms', 500],
    ['10s', 10_000],
    ['1m', 60_000],
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['7d', 604_800_000],
    ['1d2h3m4s5ms', 93_784_005],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    '',
    ' ',
    '10',
    's',
    '0s',
    '-1s',
    '+1s',
    '1.5h',
    '1e3s',
    '10 s',
    ' 10s',
    '10s ',
    '1H',
    '30m1h',
    '1m1m',
    '1w',
    '1µs',
    '10s\n',
    'PT10S',
    '9007199254740992ms',
    '99999999999999999999d',
  ])('%j is refused by name', (text) => {
    expect(() => parseDuration(text)).toThrow(DurationError);
    expect(() => parseDuration(text)).toThrow(JSON.stringify(text));
  });

  it('formats the largest units first', () => {
    expect(formatDuration(5_400_000)).toBe('1h30m');
    expect(formatDuration(10_000)).toBe('10s');
    expect(formatDuration(1)).toBe('1ms');
  });

  it('reads back what it formats', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('does not format %d', (ms) => {
    expect(() => formatDuration(ms)).toThrow(DurationError);
  });
});
