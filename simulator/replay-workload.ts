import type { Recording } from './recording.ts';
import { createSingleSchedule } from './shapes/schedule.ts';
import type { SentMessage, Workload } from './workload.ts';

const DAY_MS = 86_400_000;
/** What a replay spans by default, at most: a pipeline takes readings of the last seven days unless told otherwise. */
const DEFAULT_SPAN_MS = 6 * DAY_MS;
const ROUND_FACTORS = [1, 60, 3_600, 86_400];

export interface ReplayWorkloadOptions {
  readonly recording: Recording;
  readonly metric: string;
  /** How many times shorter the spacing becomes: 60 makes an hour a minute. At least 1. */
  readonly compress: number;
  /** Readings per MQTT message: 1 sends objects, more sends arrays. */
  readonly batch: number;
  /** MQTT messages per second. */
  readonly rate: number;
  readonly runId: string;
}

/**
 * A recording sent as the one device `replay-{runId}-0`, in the order of the file, as a device does that stored its
 * readings while it was offline: the latest reading lies at the start of the run.
 */
export function createReplayWorkload(options: ReplayWorkloadOptions): Workload {
  const { recording, metric, batch, rate, runId } = options;
  const { rows } = recording;
  const sampleOf = (index: number) => [rows[index]?.value ?? 0];
  const indexesOf = (sequence: number) =>
    Array.from({ length: Math.min(batch, rows.length - sequence * batch) }, (_, i) => sequence * batch + i);
  return {
    deviceIds: [`replay-${runId}-0`],
    schedule: createSingleSchedule(rate, Math.ceil(rows.length / batch)),
    metricsOf: () => [metric],
    startingAt(startMs) {
      const timestamps = replayTimestamps(recording, options.compress, startMs);
      const messageOf = (index: number): SentMessage => ({
        ts: timestamps[index] ?? startMs,
        seq: index,
        metrics: { [metric]: rows[index]?.value ?? 0 },
      });
      return {
        firstTimestamp: timestamps.reduce((a, b) => Math.min(a, b), startMs),
        lastTimestamp: startMs,
        samples: (_, sequence) => indexesOf(sequence).map(sampleOf),
        payload(_, sequence) {
          const messages = indexesOf(sequence).map(messageOf);
          return JSON.stringify(batch === 1 ? messages[0] : messages);
        },
      };
    },
  };
}

/** The timestamps sent, ms since the epoch: distances to the latest reading, divided by `compress` and rounded. */
export function replayTimestamps({ rows }: Recording, compress: number, startMs: number): readonly number[] {
  const latest = rows.reduce((max, { timestamp }) => Math.max(max, timestamp), Number.NEGATIVE_INFINITY);
  return rows.map(({ timestamp }) => startMs - Math.round((latest - timestamp) / compress));
}

/** The least of 1, 60, 3,600, 86,400 (or more, where none is enough) that makes the replay span less than six days. */
export function defaultCompression({ rows }: Recording): number {
  const latest = rows.reduce((max, { timestamp }) => Math.max(max, timestamp), Number.NEGATIVE_INFINITY);
  const earliest = rows.reduce((min, { timestamp }) => Math.min(min, timestamp), Number.POSITIVE_INFINITY);
  const needed = (latest - earliest) / DEFAULT_SPAN_MS;
  return ROUND_FACTORS.find((factor) => factor > needed) ?? Math.ceil(needed) + 1;
}
