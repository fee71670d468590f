import type { DeviceMessage } from '../event-log/telemetry-event.ts';
import type { Schedule } from './shapes/schedule.ts';

/** What a run sends, before its start is known. Pure. */
export interface Workload {
  /** By device index. */
  readonly deviceIds: readonly string[];
  readonly schedule: Schedule;
  /** Names of the metrics in every message of a device. */
  metricsOf(device: number): readonly string[];
  /** The content, once the start of the run (ms since the epoch, whole) is known. */
  startingAt(startMs: number): Content;
}

/** The content of a run's MQTT messages. Anything can be recomputed at any time: nothing is kept per message. */
export interface Content {
  /** Earliest and latest timestamp of a reading, ms since the epoch. */
  readonly firstTimestamp: number;
  readonly lastTimestamp: number;
  /** Canonical payload of a device's MQTT message. */
  payload(device: number, sequence: number): string;
  /** The values of each device message in that payload, in the order of `metricsOf`; booleans as 0 and 1. */
  samples(device: number, sequence: number): readonly (readonly number[])[];
}

/** A canonical device message as this fleet sends it: with everything that may be left out. */
export type SentMessage = Required<DeviceMessage>;
