import { machine } from './profiles/machine.ts';
import type { Profile } from './profiles/profile.ts';
import { thermostat } from './profiles/thermostat.ts';
import { createFleetSchedule } from './shapes/schedule.ts';
import type { SentMessage, Workload } from './workload.ts';

export const PROFILE_NAMES = ['thermostat', 'machine', 'mixed'] as const;
/** `mixed`: devices with an even index are thermostats, the others machines. */
export type ProfileName = (typeof PROFILE_NAMES)[number];

export interface FleetWorkloadOptions {
  readonly profile: ProfileName;
  readonly devices: number;
  /** Messages per second of the whole fleet. */
  readonly rate: number;
  readonly durationMs: number;
  readonly seed: number;
  /** Part of every device id, so that two runs into the same store stay apart. */
  readonly runId: string;
}

/**
 * A fleet of simulated devices, `{profile}-{runId}-{index}`. Each message carries every metric of its profile, with the
 * time at which it is due as its timestamp.
 */
export function createFleetWorkload(options: FleetWorkloadOptions): Workload {
  const { profile, devices, seed, runId } = options;
  const schedule = createFleetSchedule(options);
  const profiles = { thermostat: [thermostat], machine: [machine], mixed: [thermostat, machine] }[profile];
  const profileOf = (device: number): Profile => profiles[device % profiles.length] ?? thermostat;
  const names = new Map(profiles.map((each) => [each, each.metrics.map(({ name }) => name)]));
  return {
    deviceIds: Array.from({ length: devices }, (_, device) => `${profileOf(device).name}-${runId}-${device}`),
    schedule,
    metricsOf: (device) => names.get(profileOf(device)) ?? [],
    startingAt(startMs) {
      const timestampOf = (device: number, sequence: number) =>
        startMs + Math.floor(schedule.offsetOfMs(device, sequence));
      const lastOffsetMs = schedule.total === 0 ? 0 : schedule.offsetMs(schedule.total - 1);
      return {
        firstTimestamp: startMs,
        lastTimestamp: startMs + Math.floor(lastOffsetMs),
        samples: (device, sequence) => [
          profileOf(device).valuesAt(seed, device, timestampOf(device, sequence)),
        ],
        payload(device, sequence) {
          const ts = timestampOf(device, sequence);
          const own = profileOf(device);
          const message: SentMessage = {
            ts,
            seq: sequence,
            metrics: named(own, own.valuesAt(seed, device, ts)),
          };
          return JSON.stringify(message);
        },
      };
    },
  };
}

function named({ metrics }: Profile, values: readonly number[]): Record<string, number | boolean> {
  const record: Record<string, number | boolean> = {};
  for (let i = 0; i < metrics.length; i++) {
    const metric = metrics[i];
    const value = values[i] ?? 0;
    if (metric !== undefined) record[metric.name] = metric.kind === 'boolean' ? value === 1 : value;
  }
  return record;
}
