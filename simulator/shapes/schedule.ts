import { uniform } from '../profiles/noise.ts';

/**
 * When every message of a run is due: each device sends at a fixed period from its own phase. The times depend on
 * nothing that happens during the run, so a slow receiver cannot slow the offered load down.
 */
export interface Schedule {
  /** Messages of the whole run. */
  readonly total: number;
  /** The device whose turn the nth message is, messages being numbered in the order in which they are due. */
  deviceOf(n: number): number;
  /** When the nth message is due, ms after the start of the run. Never less than for n - 1. */
  offsetMs(n: number): number;
  /** When a device's message is due, ms after the start of the run; `sequence` counts from 0 per device. */
  offsetOfMs(device: number, sequence: number): number;
}

export interface FleetScheduleOptions {
  readonly devices: number;
  /** Messages per second of the whole fleet. */
  readonly rate: number;
  readonly durationMs: number;
  readonly seed: number;
}

const PHASE_PURPOSE = 100;

/** `rate` messages per second spread over the devices by seeded phases, for `durationMs`. */
export function createFleetSchedule({ devices, rate, durationMs, seed }: FleetScheduleOptions): Schedule {
  const periodMs = (devices / rate) * 1_000;
  const phases = Array.from(
    { length: devices },
    (_, device) => periodMs * uniform(seed, device, PHASE_PURPOSE, 0),
  );
  const rounds = Math.floor(durationMs / periodMs);
  const rest = durationMs - rounds * periodMs;
  const total = rounds * devices + phases.filter((phase) => phase < rest).length;
  return createSchedule(phases, periodMs, total);
}

/** `total` messages of one device, `rate` per second, the first at once. */
export function createSingleSchedule(rate: number, total: number): Schedule {
  return createSchedule([0], 1_000 / rate, total);
}

/** `phases` are ms in [0, periodMs), one per device. */
function createSchedule(phases: readonly number[], periodMs: number, total: number): Schedule {
  const order = phases.map((_, device) => device).sort((a, b) => (phases[a] ?? 0) - (phases[b] ?? 0));
  const deviceOf = (n: number) => order[n % order.length] ?? 0;
  const offsetOfMs = (device: number, sequence: number) => (phases[device] ?? 0) + sequence * periodMs;
  return {
    total,
    deviceOf,
    offsetOfMs,
    offsetMs: (n) => offsetOfMs(deviceOf(n), Math.floor(n / order.length)),
  };
}
