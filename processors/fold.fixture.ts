import fc from 'fast-check';
import type { LogRecord } from '../event-log/event-log.ts';
import { encodeTelemetryEvent, encodeTick } from '../event-log/telemetry-event.ts';
import type { FoldConfig } from './fold-config.ts';

/** Small windows, so that short sequences of records cross many boundaries. */
export const FOLD_CONFIG: FoldConfig = {
  windowsMs: [1_000, 4_000, 20_000],
  graceMs: 300,
  maxAheadMs: 5_000,
  maxAgeMs: 20_000,
  maxOpenAggregates: 100_000,
  maxDevices: 1_000,
};

/** One device message in a record; `ageMs` is its distance behind the record's log time (negative: ahead). */
export interface PlannedMessage {
  readonly ageMs: number;
  readonly metrics: Readonly<Record<string, number | boolean | string>>;
}

/**
 * A record to come; `waitMs` is the log time that passes before it. No messages: a tick. With `resends` n > 0 the
 * n-th record before it is delivered again instead.
 */
export interface PlannedRecord {
  readonly waitMs: number;
  readonly resends: number;
  readonly deviceId: string;
  readonly messages: readonly PlannedMessage[];
}

const value = fc.oneof(
  { weight: 8, arbitrary: fc.double({ min: -1e6, max: 1e6, noNaN: true }) },
  { weight: 1, arbitrary: fc.boolean() },
  { weight: 1, arbitrary: fc.constant('not a number') },
);

const message: fc.Arbitrary<PlannedMessage> = fc.record({
  ageMs: fc.oneof(fc.integer({ min: -1_000, max: 2_000 }), fc.integer({ min: -6_000, max: 21_000 })),
  metrics: fc.dictionary(fc.constantFrom('temperature', 'humidity', 'door'), value, {
    minKeys: 1,
    maxKeys: 3,
  }),
});

const record: fc.Arbitrary<PlannedRecord> = fc.record({
  waitMs: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 5_000 })),
  resends: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 10 })),
  deviceId: fc.constantFrom('counting-a', 'counting-b', 'plain'),
  messages: fc.oneof(
    { weight: 6, arbitrary: fc.array(message, { minLength: 1, maxLength: 1 }) },
    { weight: 2, arbitrary: fc.array(message, { minLength: 2, maxLength: 5 }) },
    { weight: 1, arbitrary: fc.constant([]) },
  ),
});

/** Any sequence of records of one partition. */
export const plannedRecords = fc.array(record, { minLength: 1, maxLength: 60 });

const START_OF_TIME = 1_732_460_000_000;

/**
 * The planned records as a partition holds them, followed by a tick that closes everything. Devices whose name starts
 * with `counting` number their messages.
 */
export function recordsOf(planned: readonly PlannedRecord[]): LogRecord[] {
  const counters = new Map<string, number>();
  const records: LogRecord[] = [];
  let logTime = START_OF_TIME;
  for (const { waitMs, resends, deviceId, messages } of planned) {
    logTime += waitMs;
    const again = resends > 0 ? records.at(-resends) : undefined;
    const offset = BigInt(records.length);
    if (again !== undefined) records.push({ ...again, offset, logTime });
    else
      records.push({
        offset,
        logTime,
        key: Buffer.from(deviceId),
        value: eventValue(messages, logTime, deviceId, counters),
      });
  }
  const end = { logTime: logTime + 100_000, key: Buffer.alloc(0), value: encodeTick() };
  return [...records, { ...end, offset: BigInt(records.length) }];
}

function eventValue(
  messages: readonly PlannedMessage[],
  logTime: number,
  deviceId: string,
  counters: Map<string, number>,
): Buffer {
  if (messages.length === 0) return encodeTick();
  const payload = messages.map(({ ageMs, metrics }) => {
    if (!deviceId.startsWith('counting')) return { ts: logTime - ageMs, metrics };
    const seq = counters.get(deviceId) ?? 0;
    counters.set(deviceId, seq + 1);
    return { ts: logTime - ageMs, seq, metrics };
  });
  return encodeTelemetryEvent(
    logTime,
    Buffer.from(JSON.stringify(payload.length === 1 ? payload[0] : payload)),
  );
}
