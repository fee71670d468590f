import type { LogRecord } from '../../event-log/event-log.ts';
import { decodeQuarantineEvent, UndecodableQuarantineEventError } from '../../event-log/quarantine-event.ts';
import { RangeTooLargeError } from './errors.ts';

/** Positions that are held at most, about 250 bytes each. */
const MAX_POSITIONS = 1_000_000;

/** Which messages of the telemetry topic processors have quarantined, and how many payloads gateways have. */
export class QuarantinePositions {
  readonly #indexes = new Map<number, Map<bigint, Set<number>>>();
  readonly #from: number;
  readonly #to: number;
  readonly #maxPositions: number;
  #size = 0;
  #gatewayPayloads = 0;

  /** `from` and `to` are log times, ms since the epoch, between which payloads of gateways are counted. */
  constructor(from: number, to: number, maxPositions = MAX_POSITIONS) {
    this.#from = from;
    this.#to = to;
    this.#maxPositions = maxPositions;
  }

  /** Payloads that gateways quarantined between `from` and `to`. */
  get gatewayPayloads(): number {
    return this.#gatewayPayloads;
  }

  /**
   * Adds a record of the quarantine topic. One that cannot be decoded names no position and is passed over. Throws
   * `RangeTooLargeError`.
   */
  add({ value, logTime }: LogRecord): void {
    const origin = originOf(value);
    if (origin?.kind === 'mqtt' && logTime >= this.#from && logTime < this.#to) this.#gatewayPayloads++;
    if (origin?.kind !== 'record') return;
    const offsets = this.#indexes.get(origin.partition) ?? new Map<bigint, Set<number>>();
    this.#indexes.set(origin.partition, offsets);
    const indexes = offsets.get(origin.offset) ?? new Set();
    offsets.set(origin.offset, indexes);
    if (!indexes.has(origin.index)) this.#size++;
    indexes.add(origin.index);
    if (this.#size > this.#maxPositions)
      throw new RangeTooLargeError(this.#maxPositions, 'quarantined messages');
  }

  /** The places within one record's array of messages that were quarantined. */
  of(partition: number, offset: bigint): ReadonlySet<number> {
    return this.#indexes.get(partition)?.get(offset) ?? NOTHING;
  }
}

const NOTHING: ReadonlySet<number> = new Set();

function originOf(value: Buffer) {
  try {
    return decodeQuarantineEvent(value).origin;
  } catch (error) {
    if (error instanceof UndecodableQuarantineEventError) return undefined;
    throw error;
  }
}
