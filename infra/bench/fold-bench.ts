import type { LogRecord } from '../../event-log/event-log.ts';
import { encodeTelemetryEvent } from '../../event-log/telemetry-event.ts';
import { createFoldOutput, step } from '../../processors/fold.ts';
import type { FoldConfig } from '../../processors/fold-config.ts';
import { createFoldState } from '../../processors/fold-state.ts';

const FOLD: FoldConfig = {
  windowsMs: [10_000, 60_000, 3_600_000],
  graceMs: 2_000,
  maxAheadMs: 60_000,
  maxAgeMs: 604_800_000,
  maxOpenAggregates: 500_000,
  maxDevices: 100_000,
};
const DEVICES = 1_000;
const VALUES_PER_MESSAGE = 4;
const START = 1_732_460_000_000;

/** Folds encoded records of 1,000 devices at 1 Hz, decoding included; readings per second of one core. */
export function benchFold(seconds: number): number {
  const records = recordsOf(seconds);
  const state = createFoldState(FOLD.windowsMs.length);
  const output = createFoldOutput();
  const before = process.cpuUsage();
  for (const record of records) {
    step(FOLD, state, record, output);
    if (output.rows.length > 10_000) output.rows.length = 0;
  }
  const { user, system } = process.cpuUsage(before);
  return (records.length * VALUES_PER_MESSAGE * 1e6) / (user + system);
}

function recordsOf(seconds: number): LogRecord[] {
  const records: LogRecord[] = [];
  for (let second = 0; second < seconds; second++) {
    for (let device = 0; device < DEVICES; device++) {
      const ts = START + second * 1_000 + device;
      const metrics = {
        temperature: 20 + Math.sin(ts),
        humidity: 50 + Math.cos(device),
        setpoint: 21.5,
        heating: second % 2 === 0,
      };
      const value = encodeTelemetryEvent(ts + 2, Buffer.from(JSON.stringify({ ts, seq: second, metrics })));
      records.push({
        offset: BigInt(records.length),
        logTime: ts + 5,
        key: Buffer.from(`bench-${device}`),
        value,
      });
    }
  }
  return records;
}
