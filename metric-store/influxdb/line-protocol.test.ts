import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeDistribution } from '../distribution-codec.ts';
import type { WindowAggregate } from '../metric-store.ts';
import { aggregateOf, arbitraryAggregate } from '../rows.fixture.ts';
import { encodeBatches, encodeLine } from './line-protocol.ts';

interface Line {
  readonly measurement: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
  readonly time: number;
}

/** Splits at unescaped, unquoted separators, as the grammar of the line protocol says. */
function splitAt(text: string, separator: string): string[] {
  const parts = [''];
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (character === '\\' && !quoted) parts[parts.length - 1] += character + (text[++at] ?? '');
    else if (character === separator && !quoted) parts.push('');
    else parts[parts.length - 1] += character;
    if (character === '"') quoted = !quoted;
  }
  return parts;
}

function unescapeId(text: string): string {
  return text.replace(/\\([, =])/g, '$1');
}

/** A parser of its own for ids without quotes, which the line protocol gives no meaning there. */
function parseLine(line: string): Line {
  expect(line.endsWith('\n')).toBe(true);
  expect(line.indexOf('\n')).toBe(line.length - 1);
  const [key = '', fieldList = '', time = '', ...more] = splitAt(line.slice(0, -1), ' ');
  expect(more).toEqual([]);
  const [measurement = '', ...tags] = splitAt(key, ',');
  const pairs = (list: readonly string[]) =>
    Object.fromEntries(
      list.map((pair) => {
        const [name = '', ...value] = splitAt(pair, '=');
        return [unescapeId(name), unescapeId(value.join('='))];
      }),
    );
  return {
    measurement: unescapeId(measurement),
    tags: pairs(tags),
    fields: pairs(splitAt(fieldList, ',')),
    time: Number(time),
  };
}

const arbitraryId = fc
  .string({
    minLength: 1,
    maxLength: 12,
    unit: fc.oneof(fc.constantFrom(',', ' ', '=', '\u00e4'), fc.string({ minLength: 1, maxLength: 1 })),
  })
  .filter((id) => !/[\p{Cc}\\"]/u.test(id));

test('any row comes back from its line', () => {
  const arbitraryRow = fc.record({
    deviceId: arbitraryId,
    metric: arbitraryId,
    resolutionMs: fc.constant(10_000),
    windowStart: fc.integer({ min: 0, max: 900_000_000 }).map((n) => n * 10_000),
    pane: fc.nat(9_999_999),
    aggregate: arbitraryAggregate,
  });
  fc.assert(
    fc.property(arbitraryRow, (row) => {
      const { measurement, tags, fields, time } = parseLine(encodeLine(row));
      expect(measurement).toBe(row.metric);
      expect(tags).toEqual({ device: row.deviceId });
      expect(time).toBe(row.windowStart * 1_000 + row.pane);
      const { aggregate } = row;
      const integer = (name: string) => {
        expect(fields[name]).toMatch(/^-?\d+i$/);
        return Number(fields[name]?.slice(0, -1));
      };
      expect(Object.keys(fields)).toHaveLength(10);
      expect(integer('count')).toBe(aggregate.count);
      expect(integer('first_at')).toBe(aggregate.firstAt);
      expect(integer('last_at')).toBe(aggregate.lastAt);
      for (const name of ['sum', 'min', 'max', 'first', 'last', 'm2'] as const) {
        expect(Number(fields[name])).toBe(aggregate[name]);
      }
      expect(fields.distribution).toMatch(/^"[A-Za-z0-9+/=]*"$/);
      const bytes = Buffer.from(fields.distribution?.slice(1, -1) ?? '', 'base64');
      expect(decodeDistribution(bytes, aggregate).kind).toBe(aggregate.distribution.kind);
    }),
  );
});

test('a line reads as people expect it', () => {
  expect(encodeLine(rowOf('a/b c', 'd,1=x'))).toBe(
    'a/b\\ c,device=d\\,1\\=x count=2i,sum=4,min=1.5,max=2.5,first=1.5,first_at=1i,last=2.5,last_at=2i' +
      ',m2=0.5,distribution="" 10000003\n',
  );
});

test('the sign of negative zero is kept', () => {
  const row = rowOf('m', 'd');
  expect(encodeLine({ ...row, aggregate: { ...row.aggregate, sum: -0 } })).toContain(',sum=-0,');
});

test('batches hold every row once, in order, and no more bytes than allowed', () => {
  const rows = Array.from({ length: 100 }, (_, i) => rowOf('m', `d${i}`));
  for (const maxBytes of [1, 500, 1_000, 1_000_000]) {
    const batches = [...encodeBatches(rows, maxBytes)];
    expect(Buffer.concat(batches.map(({ body }) => body)).toString()).toBe(rows.map(encodeLine).join(''));
    let next = 0;
    for (const { from, to, body } of batches) {
      expect(from).toBe(next);
      next = to;
      if (to - from > 1) expect(body.length).toBeLessThanOrEqual(maxBytes);
    }
    expect(next).toBe(rows.length);
  }
  expect([...encodeBatches([], 10)]).toEqual([]);
});

function rowOf(metric: string, deviceId: string): WindowAggregate {
  return {
    deviceId,
    metric,
    resolutionMs: 10_000,
    windowStart: 10_000,
    pane: 3,
    aggregate: aggregateOf([1.5, 2.5]),
  };
}
