import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FlatMessage, MessageReader } from './flat-message.ts';
import { decodeTelemetryEvent, encodeTick } from './telemetry-event.ts';

const reader = new MessageReader();

/** What is read of the first message by building objects; throws when it is no event. */
function decoded(event: Buffer): FlatMessage {
  const { received, messages } = decodeTelemetryEvent(event) as Extract<
    ReturnType<typeof decodeTelemetryEvent>,
    { kind: 'messages' }
  >;
  expect(messages).toHaveLength(1);
  return contentOf(new MessageReader().flatten(received, messages[0] ?? { metrics: {} }));
}

function contentOf(message: FlatMessage): FlatMessage {
  const { size, names, values } = message;
  return { ...message, names: names.slice(0, size), values: values.slice(0, size) };
}

/** `toEqual` tells 0 from -0, as `Object.is` does. */
function expectAgreement(event: Buffer): void {
  const scanned = reader.scan(event);
  if (scanned !== undefined) expect(contentOf(scanned)).toEqual(decoded(event));
}

function eventOf(data: string): Buffer {
  return Buffer.from(`{"v":1,"received":1732460000456,"data":${data}}`);
}

describe('ordinary messages are read from their bytes', () => {
  test.each([
    '{"ts":1732460000123,"seq":42,"metrics":{"temperature":21.5,"door":true}}',
    '{"ts": 1732460000123, "metrics": {"temperature": -0.0, "door": false}}',
    '{"metrics":{"a/b_c.d-e":20.912945250727628,"long":123456789012345678901234567890},"seq":0}',
    '{"metrics":{},"ts":-5.0}',
    '{"metrics":{"spaced name":0.000000000000000000000000000001,"!":9007199254740993}}',
  ])('%s', (data) => {
    const scanned = reader.scan(eventOf(data));
    expect(scanned && contentOf(scanned)).toEqual(decoded(eventOf(data)));
  });

  test('any double that JSON writes without an exponent', () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !`${n}`.includes('e'));
    fc.assert(
      fc.property(number, (n) => {
        const scanned = reader.scan(eventOf(`{"metrics":{"n":${n}}}`));
        expect(scanned && contentOf(scanned)).toMatchObject({ names: ['n'], values: [JSON.parse(`${n}`)] });
      }),
    );
  });

  test('more names than are remembered', () => {
    for (let i = 0; i < 20_002; i++) {
      const event = eventOf(`{"metrics":{"name-${i}":${i}}}`);
      const scanned = reader.scan(event) ?? reader.scan(event);
      expect(scanned && contentOf(scanned)).toMatchObject({ names: [`name-${i}`], values: [i] });
    }
  });
});

describe('what is out of the ordinary is left to the decoder', () => {
  test.each([
    '[{"metrics":{"a":1}}]',
    '{"metrics":{"a":1,"a":2}}',
    '{"metrics":{"a":1,"b":2,"a":3}}',
    '{"metrics":{"7":1}}',
    '{"metrics":{"\\u0061":1}}',
    '{"metrics":{"größe":1}}',
    '{"metrics":{"a":1e3}}',
    '{"metrics":{"a":"1"}}',
    '{"metrics":{"a":null}}',
    '{"metrics":{"a":{}}}',
    '{"ts":1,"ts":2,"metrics":{}}',
    '{"seq":1,"seq":2,"metrics":{}}',
    '{"metrics":{},"metrics":{"a":1}}',
    '{"metrics":{"a":1},"unit":"K"}',
    '{"ts":1.5,"metrics":{}}',
    '{"seq":-1,"metrics":{}}',
    `{"metrics":{"a":${'9'.repeat(400)}}}`,
    '{"metrics":{"a":01}}',
    '{"metrics":{"a":1.}}',
    '{"metrics":{"a":-}}',
    '{"metrics":{"a":1,}}',
    '{"metrics":{"a":1}',
    '{"metrics":{"a":1}} ',
    '{"ts":1}',
    '{}',
  ])('%s', (data) => expect(reader.scan(eventOf(data))).toBeUndefined());

  test('ticks', () => expect(reader.scan(encodeTick())).toBeUndefined());
});

describe('what is read is what the decoder reads, bit for bit', () => {
  const digits = fc.stringMatching(/^-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?$/);
  const value = fc.oneof(
    { weight: 8, arbitrary: digits },
    { weight: 2, arbitrary: fc.constantFrom('true', 'false') },
    { weight: 1, arbitrary: fc.json({ maxDepth: 1 }) },
    { weight: 1, arbitrary: fc.constantFrom('01', '-', '1.', '.5', '+1', 'NaN', '-0', '-0.0', 'tru', '1 ') },
  );
  const name = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom('"temperature"', '"a"', '"b"', '"c"', '"7"', '"__proto__"') },
    { weight: 1, arbitrary: fc.string().map((text) => JSON.stringify(text)) },
  );
  const space = fc.constantFrom('', '', '', '', ' ', ' ', '\n', '  ');
  const pair = fc
    .tuple(name, space, space, value)
    .map(([key, before, after, text]) => `${key}${before}:${after}${text}`);
  const metrics = fc
    .tuple(fc.array(pair, { maxLength: 6 }), space)
    .map(([pairs, between]) => `"metrics":{${pairs.join(`,${between}`)}}`);
  const time = digits.map((text) => `"ts":${text}`);
  const seq = fc.oneof(digits, fc.nat().map(String)).map((text) => `"seq":${text}`);
  const data = fc
    .tuple(fc.shuffledSubarray([0, 1, 2]), fc.tuple(metrics, time, seq), fc.boolean())
    .map(([order, members, isTwice]) =>
      [...order, ...(isTwice ? order.slice(0, 1) : [])].map((i) => members[i] ?? ''),
    )
    .map((members) => `{${members.join(',')}}`);

  test('of messages in any spelling', () => {
    fc.assert(
      fc.property(data, (text) => expectAgreement(eventOf(text))),
      { numRuns: 2_000 },
    );
  });

  test('of messages with changed bytes', () => {
    const change = fc.tuple(
      fc.nat(),
      fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}",:0-.e\\ 1'))),
    );
    fc.assert(
      fc.property(data, fc.array(change, { minLength: 1, maxLength: 3 }), (text, changes) => {
        const event = eventOf(text);
        for (const [at, byte] of changes) event[at % event.length] = byte;
        expectAgreement(event);
        expectAgreement(event.subarray(0, (changes[0]?.[0] ?? 0) % event.length));
      }),
      { numRuns: 2_000 },
    );
  });

  test('of any JSON and any bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json().map(eventOf), fc.uint8Array().map(Buffer.from)), (event) => {
        expectAgreement(Buffer.from(event));
      }),
    );
  });
});
