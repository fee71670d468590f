import { expect, test } from 'vitest';
import { formatDuration, parseDuration, quoteName, quoteText } from './influxql.ts';

test('names and texts cannot end their own quotes', () => {
  expect(quoteName('a"; DROP DATABASE "x')).toBe('"a\\"; DROP DATABASE \\"x"');
  expect(quoteText("x' OR 'a' = 'a")).toBe("'x\\' OR \\'a\\' = \\'a'");
  expect(quoteName('a\\"b')).toBe('"a\\\\\\"b"');
  expect(quoteText("a\\'\nb")).toBe("'a\\\\\\'\\nb'");
});

test('durations are spelled in the largest unit that divides them', () => {
  expect([10_000, 60_000, 3_600_000, 86_400_000, 90_000, 1_500].map(formatDuration)).toEqual([
    '10s',
    '1m',
    '1h',
    '24h',
    '90s',
    '1500ms',
  ]);
});

test('durations are read as InfluxDB reports them', () => {
  expect(['168h0m0s', '0s', '1h30m0s', '1500ms', '10s'].map(parseDuration)).toEqual([
    604_800_000, 0, 5_400_000, 1_500, 10_000,
  ]);
  expect(parseDuration('INF')).toBeNaN();
});
