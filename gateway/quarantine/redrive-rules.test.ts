import { expect, test } from 'vitest';
import { RecordTooLargeError } from '../../event-log/errors.ts';
import type { QuarantineEvent } from '../../event-log/quarantine-event.ts';
import { encodeTick } from '../../event-log/telemetry-event.ts';
import { compileTopicTemplate } from '../device-topic.ts';
import { faultOf, judge, type RedriveRules } from './redrive-rules.ts';

const NOW = 1_732_460_000_000;
const RULES: RedriveRules = {
  deviceIdOf: compileTopicTemplate('devices/{deviceId}/telemetry'),
  limits: { maxPayloadBytes: 1_000, maxMetrics: 3 },
  maxAgeMs: 60_000,
  maxAheadMs: 5_000,
};

const MQTT = { kind: 'mqtt', mqttTopic: 'devices/boiler/telemetry', clientId: 'client' } as const;
const RECORD = { kind: 'record', partition: 1, offset: 7n, index: 0 } as const;

function judged(payload: string, changes: Partial<QuarantineEvent> = {}) {
  const event: QuarantineEvent = {
    reason: 'not_json',
    detail: '',
    origin: MQTT,
    received: NOW - 1_000,
    payload: Buffer.from(payload),
    ...changes,
  };
  const id = { partition: 0, offset: 0n };
  const seen = judge({ id, logTime: NOW, deviceId: 'of-the-key', event }, RULES, NOW);
  return seen.kind === 'usable' ? { ...seen, value: seen.value.toString() } : seen;
}

test('a usable payload keeps its bytes and the time of its receipt', () => {
  expect(judged('{"metrics": {"t": 1}}')).toEqual({
    kind: 'usable',
    deviceId: 'boiler',
    value: `{"v":1,"received":${NOW - 1_000},"data":{"metrics": {"t": 1}}}`,
    isRecognisable: false,
  });
  expect(judged('{"t":1}')).toMatchObject({ value: expect.stringContaining('"data":{"metrics":{"t":1}}}') });
});

test('the message of a telemetry record is of the device of its key', () => {
  const event = judged(`{"ts":${NOW},"metrics":{"t":1}}`, { reason: 'too_old', origin: RECORD });
  expect(event).toMatchObject({ kind: 'usable', deviceId: 'of-the-key', isRecognisable: true });
});

test.each([
  ['{"seq":1,"metrics":{"t":1}}', true],
  [`[{"seq":1,"t":1},{"ts":${NOW},"t":1}]`, true],
  ['[{"seq":1,"t":1},{"t":1}]', false],
])('whether the fold recognises every message of %s: %s', (payload, isRecognisable) => {
  expect(judged(payload)).toMatchObject({ kind: 'usable', isRecognisable });
});

test.each([
  ['{', 'not_json'],
  ['', 'empty'],
  ['{"a":1,"b":1,"c":1,"d":1}', 'too_many_metrics'],
  [`{"ts":${NOW - 60_001},"t":1}`, 'too_old'],
  [`[{"ts":${NOW - 60_001},"t":1},{"ts":${NOW - 70_000},"t":1}]`, 'too_old'],
  [`{"ts":${NOW + 5_001},"t":1}`, 'too_far_ahead'],
])('%s is still unusable: %s', (payload, reason) => {
  expect(judged(payload)).toMatchObject({ kind: 'unusable', reason });
});

test.each([
  `{"ts":${NOW - 60_000},"t":1}`,
  `{"ts":${NOW + 5_000},"t":1}`,
  `[{"ts":${NOW - 60_001},"t":1},{"ts":${NOW},"t":1}]`,
])('%s has a message that the processor takes', (payload) => {
  expect(judged(payload)).toMatchObject({ kind: 'usable' });
});

test('a message without a time is as old as its receipt', () => {
  expect(judged('{"t":1}', { received: NOW - 60_001 })).toMatchObject({
    kind: 'unusable',
    reason: 'too_old',
  });
});

test('a topic outside of the template is still unusable', () => {
  const origin = { ...MQTT, mqttTopic: 'elsewhere' };
  expect(judged('{"t":1}', { origin })).toMatchObject({ kind: 'unusable', reason: 'unknown_topic' });
});

test('a record that could not be decoded is taken as it is once it can', () => {
  const changes = { reason: 'undecodable_event', origin: RECORD } as const;
  const value = `{"v":1,"received":${NOW},"data":{"seq":1,"metrics":{"t":1}}}`;
  expect(judged(value, changes)).toMatchObject({ kind: 'usable', value, isRecognisable: true });
  for (const still of ['{"v":9}', encodeTick().toString()]) {
    expect(judged(still, changes)).toMatchObject({ kind: 'unusable', reason: 'undecodable_event' });
  }
});

test('a record that the log finds too large is the fault of its payload, any other failure is not', () => {
  expect(faultOf(new RecordTooLargeError('9 bytes'))).toMatchObject({ reason: 'payload_too_large' });
  expect(faultOf(new Error('away'))).toBeUndefined();
});
