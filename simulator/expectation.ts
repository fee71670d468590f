import type { Ledger } from './ledger.ts';
import { type ExpectedTally, TallyBuilder } from './tally.ts';
import type { Content, Workload } from './workload.ts';

/** What the aggregates of one device have to be, recomputed from the ledger. */
export interface DeviceExpectation {
  readonly deviceId: string;
  readonly metrics: readonly string[];
  /** From the acknowledged messages, by metric. */
  readonly certain: readonly ExpectedTally[];
  /** Sent but never acknowledged: each may or may not be in the aggregates. */
  readonly unknown: readonly Packet[];
  /** Possibly delivered more than once: each may be in the aggregates once more. */
  readonly repeated: readonly Packet[];
}

/** The samples of one MQTT message, which is stored whole or not at all; in each the values by metric. */
export type Packet = readonly (readonly number[])[];

/** Recomputes the values of everything that a device sent. Takes time in proportion to its messages. */
export function expectDevice(
  device: number,
  workload: Workload,
  content: Content,
  ledger: Ledger,
): DeviceExpectation {
  const metrics = workload.metricsOf(device);
  const tallies = metrics.map(() => new TallyBuilder());
  for (const sequence of ledger.acknowledged(device)) {
    for (const sample of content.samples(device, sequence)) {
      for (let i = 0; i < tallies.length; i++) tallies[i]?.add(sample[i] ?? 0);
    }
  }
  const packets = (sequences: Iterable<number>) =>
    Array.from(sequences, (sequence) => content.samples(device, sequence));
  return {
    deviceId: workload.deviceIds[device] ?? '',
    metrics,
    certain: tallies.map((tally) => tally.build()),
    unknown: packets(ledger.unknown(device)),
    repeated: packets(ledger.repeated(device)),
  };
}
