export interface OutgoingMessage {
  readonly payload: Buffer;
  readonly token: number;
  /** With QoS 2: whether the server has it (PUBREC). */
  received: boolean;
}

const MAX_PACKET_ID = 65_535;
const NONE: ReadonlyMap<number, OutgoingMessage> = new Map();

/** Messages on their way over one link, by packet identifier, in the order in which they were published. */
export class Unacknowledged implements Iterable<readonly [id: number, message: OutgoingMessage]> {
  /** Ten thousand idle links need none. */
  #messages: Map<number, OutgoingMessage> | undefined;
  #lastId = 0;

  get size(): number {
    return this.#messages?.size ?? 0;
  }

  /** Gives the message an identifier that no other message on its way has. There may be 65,535 at most. */
  add(payload: Buffer, token: number): number {
    this.#messages ??= new Map();
    do {
      this.#lastId = (this.#lastId % MAX_PACKET_ID) + 1;
    } while (this.#messages.has(this.#lastId));
    this.#messages.set(this.#lastId, { payload, token, received: false });
    return this.#lastId;
  }

  get(id: number): OutgoingMessage | undefined {
    return this.#messages?.get(id);
  }

  delete(id: number): void {
    this.#messages?.delete(id);
  }

  [Symbol.iterator](): Iterator<readonly [number, OutgoingMessage]> {
    return (this.#messages ?? NONE)[Symbol.iterator]();
  }
}
