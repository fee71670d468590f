import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import type { LogRecord } from '../event-log/event-log.ts';
import { encodeTelemetryEvent, encodeTick } from '../event-log/telemetry-event.ts';
import { createFoldOutput, type FoldOutput, step } from './fold.ts';
import type { FoldConfig } from './fold-config.ts';
import { createFoldState, type FoldState } from './fold-state.ts';

const START_OF_TIME = 1_732_460_000_000;

/** Small windows and budgets, so that few records reach every part of a state. */
const config: fc.Arbitrary<FoldConfig> = fc.record({
  windowsMs: fc.constantFrom([1_000], [1_000, 4_000], [1_000, 4_000, 20_000]),
  graceMs: fc.constantFrom(300, 8_000),
  maxAheadMs: fc.constant(5_000),
  maxAgeMs: fc.constantFrom(2_000, 20_000),
  maxOpenAggregates: fc.constantFrom(5, 100_000),
  maxDevices: fc.constantFrom(2, 100_000),
});

const value = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -100_000, max: 100_000 }).map((n) => n / 100) },
  { weight: 2, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  { weight: 2, arbitrary: fc.constantFrom(true, false, 0, -0, 1e300, 2 ** 53, 1e-9, 'not a number') },
);

/** Latin and other names, one that is no valid Unicode, and none. */
const metricName = fc.constantFrom('temperature', 'humidity', 'door', 'größe', 'Ω', '\ud800', '');

interface PlannedMessage {
  readonly ageMs: number;
  readonly seq: number | undefined;
  readonly hasTime: boolean;
  readonly metrics: Readonly<Record<string, unknown>>;
  /** How often it is repeated, with a `seq` and values that go on. */
  readonly times: number;
}

const message: fc.Arbitrary<PlannedMessage> = fc.record({
  ageMs: fc.oneof(fc.integer({ min: -900, max: 900 }), fc.integer({ min: -6_000, max: 21_000 })),
  seq: fc.option(fc.oneof(fc.nat(3_000), fc.nat(20), fc.maxSafeInteger().map(Math.abs)), { nil: undefined }),
  hasTime: fc.boolean(),
  metrics: fc.dictionary(metricName, value, { minKeys: 1, maxKeys: 4 }),
  times: fc.oneof({ weight: 6, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(80) }),
});

const record = fc.record({
  waitMs: fc.oneof(
    { weight: 6, arbitrary: fc.nat(300) },
    { weight: 3, arbitrary: fc.nat(5_000) },
    { weight: 1, arbitrary: fc.nat(60_000) },
  ),
  deviceId: fc.constantFrom('a', 'b', 'c', 'gerät', ''),
  messages: fc.array(message, { maxLength: 3 }),
  isDecodable: fc.boolean(),
  /** How often it is repeated, a millisecond later each time. */
  times: fc.oneof({ weight: 20, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(70) }),
});

/** Some run of the fold: its configuration and all records of a partition. */
export const foldRun = fc.record({ config, planned: fc.array(record, { maxLength: 40 }) }).map((run) => ({
  config: run.config,
  records: recordsOf(run.planned),
}));

type PlannedRecord = typeof record extends fc.Arbitrary<infer T> ? T : never;

function recordsOf(planned: readonly PlannedRecord[]): LogRecord[] {
  let logTime = START_OF_TIME;
  const repeated = planned.flatMap((each) =>
    Array.from({ length: each.times }, (_, time) => (time === 0 ? each : { ...each, waitMs: 1 })),
  );
  return repeated.map(({ waitMs, deviceId, messages, isDecodable }, index) => {
    logTime += waitMs;
    const key = Buffer.from(deviceId, 'latin1');
    const value = isDecodable || waitMs > 0 ? eventOf(messages, logTime) : Buffer.from('no event');
    return { offset: BigInt(index) * 1_000n, logTime, key, value };
  });
}

function eventOf(messages: readonly PlannedMessage[], logTime: number): Buffer {
  if (messages.length === 0) return encodeTick();
  const payload = messages.flatMap(({ ageMs, seq, hasTime, metrics, times }) =>
    Array.from({ length: times }, (_, i) => ({
      ...(hasTime ? { ts: logTime - ageMs + i } : {}),
      ...(seq === undefined ? {} : { seq: Math.min(seq + i, Number.MAX_SAFE_INTEGER) }),
      metrics: Object.fromEntries(
        Object.entries(metrics).map(([name, value]) => [name, typeof value === 'number' ? value + i : value]),
      ),
    })),
  );
  return encodeTelemetryEvent(logTime, Buffer.from(JSON.stringify(payload)));
}

/** Folds records from a state on; the state is changed. */
export function foldOn(config: FoldConfig, state: FoldState, records: readonly LogRecord[]): FoldOutput {
  const output = createFoldOutput();
  for (const record of records) step(config, state, record, output);
  return output;
}

/** A state that the fold can reach, with the configuration that it was reached with. */
export const reachableState = foldRun.map(({ config, records }) => {
  const state = createFoldState(config.windowsMs.length);
  foldOn(config, state, records);
  return { config, state };
});

/** Makes length and checksum fit the bytes. */
export function sealed(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(bytes.length, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(16), crc32(bytes.subarray(0, 12))), 12);
  return bytes;
}
