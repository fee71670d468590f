import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from './eventually.fixture.ts';
import { TestGateway, type TestGatewayOptions } from './gateway.fixture.ts';
import { largestQuarantineRecordBytes, resolveLimits } from './limits.ts';
import { CASE_LIMITS, UNUSABLE_PAYLOADS } from './payload.fixture.ts';
import { RawDevice, roundTrip } from './raw-device.fixture.ts';

let bench: TestGateway;

async function open(options?: TestGatewayOptions): Promise<TestGateway> {
  bench = await TestGateway.open(options);
  return bench;
}

afterEach(() => bench.close());

test('payloads that cannot be used are quarantined with their bytes, then acknowledged', async () => {
  const { gateway, log } = await open({ limits: CASE_LIMITS });
  const device = await RawDevice.open(gateway.port, 'client-1');
  const cases = UNUSABLE_PAYLOADS.filter(
    ({ maxPayloadBytes }) => maxPayloadBytes === CASE_LIMITS.maxPayloadBytes,
  );
  log.behaviour = 'hold';
  device.publish(
    ...cases.map(({ payload }, index) => ({ payload, messageId: index + 1, topic: 'devices/d-1/telemetry' })),
  );
  await eventually(() => expect(log.held).toBe(cases.length));
  await roundTrip(device);
  expect(device.ids('puback')).toEqual([]);
  log.behaviour = 'pass';
  await eventually(() => expect(device.ids('puback')).toEqual(cases.map((_, index) => index + 1)));
  expect(bench.messages).toEqual([]);
  const mqttOrigin = { kind: 'mqtt', mqttTopic: 'devices/d-1/telemetry', clientId: 'client-1' };
  expect(bench.quarantined).toEqual(
    cases.map(({ payload, reason, detail }) => ({
      key: 'd-1',
      event: {
        v: 1,
        reason,
        detail: expect.stringContaining(detail),
        origin: mqttOrigin,
        received: expect.closeTo(Date.now(), -5),
        payload: payload.toString('base64'),
      },
    })),
  );
  const empty = cases.filter(({ reason }) => reason === 'empty');
  expect(await bench.metric('quarantined_messages_total', 'empty')).toBe(empty.length);
});

describe('a topic that names no device', () => {
  test('quarantines QoS 1 and 2 under the client id', async () => {
    const { gateway } = await open();
    const device = await RawDevice.open(gateway.port, 'client-1');
    device.publish({ seq: 1, topic: 'elsewhere' }, { seq: 2, qos: 2, topic: '$SYS/broker' });
    await eventually(() => expect([device.ids('puback'), device.ids('pubrec')]).toEqual([[1], [2]]));
    expect(bench.quarantined).toMatchObject([
      { key: 'client-1', event: { reason: 'unknown_topic', origin: { mqttTopic: 'elsewhere' } } },
      { key: 'client-1', event: { reason: 'unknown_topic', origin: { mqttTopic: '$SYS/broker' } } },
    ]);
  });

  test('refuses QoS 0', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    device.publish({ qos: 0, topic: 'elsewhere' });
    await roundTrip(device);
    expect(log.asked).toBe(0);
    expect(await bench.metric('refused_messages_total', 'unknown_topic')).toBe(1);
  });
});

test('the worst packet that is let in fits into quarantine', async () => {
  const limits = resolveLimits();
  const { gateway } = await open({ maxRecordBytes: largestQuarantineRecordBytes(limits) });
  const clientId = '\u0001'.repeat(limits.maxClientIdLength);
  const device = await RawDevice.open(gateway.port, clientId);
  const topic = '\u0001'.repeat(65_535);
  device.publish(
    { seq: 1, topic, payload: Buffer.alloc(limits.maxPayloadBytes) },
    { seq: 2, topic: 'x', payload: Buffer.alloc(131_000) },
  );
  await eventually(() => expect(device.ids('puback')).toEqual([1, 2]));
  expect(bench.quarantined.map(({ event }) => event.reason)).toEqual(['unknown_topic', 'unknown_topic']);
});

describe('a record that the log does not take', () => {
  const payload = `{"metrics":{"a":1}}${' '.repeat(2_500)}`;

  test('is quarantined, and acknowledged in its place', async () => {
    const { gateway } = await open({ maxRecordBytes: 4_000 });
    const device = await RawDevice.open(gateway.port);
    const large = `{"metrics":{"a":1}}${' '.repeat(4_000)}`;
    device.publish({ seq: 1 }, { seq: 2, payload: large.slice(0, 2_600) }, { seq: 3 });
    await eventually(() => expect(device.ids('puback')).toEqual([1, 2, 3]));
    expect(bench.quarantined).toEqual([]);
  });

  test('and whose quarantine record it does not take either costs the connection, with a refusal', async () => {
    const { gateway } = await open({ maxRecordBytes: 2_000 });
    const device = await RawDevice.open(gateway.port);
    device.publish({ seq: 1, payload });
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(device.ids('puback')).toEqual([]);
    expect(await bench.metric('refused_messages_total', 'record_too_large')).toBe(1);
    expect(gateway.ready().ok).toBe(true);
  });

  test('after it was rewritten and grew is quarantined as it was sent', async () => {
    const numbers = `[${Array.from({ length: 150 }, () => '1e20').join(',')}]`;
    const flat = `{"seq":1,"a":${numbers}}`;
    const { gateway } = await open({ maxRecordBytes: 2_000 });
    const device = await RawDevice.open(gateway.port);
    device.publish({ seq: 1, payload: flat });
    await eventually(() => expect(device.ids('puback')).toEqual([1]));
    expect(bench.quarantined).toMatchObject([
      {
        key: 'device-1',
        event: { reason: 'payload_too_large', payload: Buffer.from(flat).toString('base64') },
      },
    ]);
    expect(await bench.metric('quarantined_messages_total', 'payload_too_large')).toBe(1);
  });
});
