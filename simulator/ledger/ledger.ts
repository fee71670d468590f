import { SequenceSet } from './sequence-set.ts';

/**
 * What a fleet did, by device index and sequence number (which counts a device's MQTT messages from 0). Holds no
 * values: these can be recomputed. Takes a few bytes per device and interruption, whatever the length of the run.
 */
export class Ledger {
  readonly #sent: number[];
  readonly #acknowledged: SequenceSet[];
  readonly #repeated: SequenceSet[];
  #totalSent = 0;
  #totalAcknowledged = 0;

  constructor(devices: number) {
    this.#sent = new Array<number>(devices).fill(0);
    this.#acknowledged = Array.from({ length: devices }, () => new SequenceSet());
    this.#repeated = Array.from({ length: devices }, () => new SequenceSet());
  }

  /** MQTT messages sent, each counted once however often it is sent again. */
  get totalSent(): number {
    return this.#totalSent;
  }

  get totalAcknowledged(): number {
    return this.#totalAcknowledged;
  }

  /** Messages that were unacknowledged when their connection broke: the server may have got them twice. */
  get totalRepeated(): number {
    return this.#repeated.reduce((sum, { size }) => sum + size, 0);
  }

  /** Enters a device's next message and returns its sequence number. */
  send(device: number): number {
    const sequence = this.sentBy(device);
    this.#sent[device] = sequence + 1;
    this.#totalSent++;
    return sequence;
  }

  /** Enters an acknowledgement. Returns false when the message was acknowledged before. */
  acknowledge(device: number, sequence: number): boolean {
    const first = this.#acknowledged[device]?.add(sequence) ?? false;
    if (first) this.#totalAcknowledged++;
    return first;
  }

  /** Enters that a device lost its connection: whatever is unacknowledged may be sent again. */
  interrupt(device: number): void {
    const repeated = this.#repeated[device];
    for (const sequence of this.unknown(device)) repeated?.add(sequence);
  }

  sentBy(device: number): number {
    return this.#sent[device] ?? 0;
  }

  /** Sequence numbers that must be in the aggregates, ascending. */
  acknowledged(device: number): Iterable<number> {
    return this.#acknowledged[device]?.values() ?? [];
  }

  /** Sequence numbers sent but never acknowledged, ascending: they may or may not be in the aggregates. */
  unknown(device: number): Iterable<number> {
    return this.#acknowledged[device]?.gaps(this.sentBy(device)) ?? [];
  }

  /** Sequence numbers that may have been delivered more than once, ascending. */
  repeated(device: number): Iterable<number> {
    return this.#repeated[device]?.values() ?? [];
  }
}
