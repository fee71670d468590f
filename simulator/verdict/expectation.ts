import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Ledger } from '../ledger/ledger.ts';
import type { Content, Workload } from '../workload.ts';
import { type ExpectedTally, TallyBuilder } from './tally.ts';

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

/** What the aggregates of every device have to be. Keeps tallies, not values. */
export class Expectations {
  readonly #workload: Workload;
  readonly #content: Content;
  readonly #ledger: Ledger;
  readonly #certain: (readonly ExpectedTally[])[];

  private constructor(workload: Workload, content: Content, ledger: Ledger) {
    this.#workload = workload;
    this.#content = content;
    this.#ledger = ledger;
    this.#certain = [];
  }

  /** Recomputes everything that was acknowledged, device by device, letting others run in between. */
  static async compute(workload: Workload, content: Content, ledger: Ledger): Promise<Expectations> {
    const expectations = new Expectations(workload, content, ledger);
    for (const device of workload.deviceIds.keys()) {
      expectations.#certain.push(expectations.#tally(device));
      await nextTurn();
    }
    return expectations;
  }

  get devices(): number {
    return this.#certain.length;
  }

  /** Device messages of a device that must be counted. */
  certainCount(device: number): number {
    return this.#certain[device]?.[0]?.count ?? 0;
  }

  of(device: number): DeviceExpectation {
    const { deviceIds } = this.#workload;
    const packets = (sequences: Iterable<number>) =>
      Array.from(sequences, (sequence) => this.#content.samples(device, sequence));
    return {
      deviceId: deviceIds[device] ?? '',
      metrics: this.#workload.metricsOf(device),
      certain: this.#certain[device] ?? [],
      unknown: packets(this.#ledger.unknown(device)),
      repeated: packets(this.#ledger.repeated(device)),
    };
  }

  #tally(device: number): readonly ExpectedTally[] {
    const builders = this.#workload.metricsOf(device).map(() => new TallyBuilder());
    for (const sequence of this.#ledger.acknowledged(device)) {
      for (const sample of this.#content.samples(device, sequence)) {
        for (let i = 0; i < builders.length; i++) builders[i]?.add(sample[i] ?? 0);
      }
    }
    return builders.map((builder) => builder.build());
  }
}
