import { Readable } from 'node:stream';
import type { Client } from 'aedes';
import type { PendingMessage } from './pending-message.ts';

/** A QoS 2 message that its client has not released with PUBREL. */
export interface Receipt {
  /** Tells a message sent again from another one under the same identifier. */
  readonly fingerprint: number;
  isDurable: boolean;
  /** The same message sent again before the first was durable. */
  readonly repeats: PendingMessage[];
}

export interface SessionLimits {
  readonly maxUnreleasedPerClient: number;
  readonly maxUnreleased: number;
  readonly maxSessions: number;
  readonly maxSubscriptionsPerClient: number;
}

interface Session {
  readonly receipts: Map<number, Receipt>;
  readonly filters: Set<string>;
}

type ClientId = Pick<Client, 'id'>;

interface Subscription {
  readonly topic: string;
}

interface Identified {
  readonly messageId?: number | undefined;
}

/**
 * What outlives a connection: QoS 2 messages that wait for PUBREL, and the subscriptions of persistent sessions.
 * It is the broker's persistence, with nothing retained and nothing queued for clients that are away.
 *
 * Kept in memory, and bounded: where it is full, the sessions that connected longest ago are forgotten. A QoS 2 message
 * that is sent again after that, or after a restart, is appended again; `seq` tells the fold that it is a duplicate.
 */
export class Sessions {
  readonly #limits: SessionLimits;
  readonly #isGranted: (filter: string) => boolean;
  /** In the order of their last connection. */
  readonly #sessions = new Map<string, Session>();
  #unreleased = 0;

  /** `isGranted` tells whether a topic filter may be subscribed to. */
  constructor(limits: SessionLimits, isGranted: (filter: string) => boolean) {
    this.#limits = limits;
    this.#isGranted = isGranted;
  }

  receipt(clientId: string, messageId: number): Receipt | undefined {
    return this.#sessions.get(clientId)?.receipts.get(messageId);
  }

  /** Remembers a QoS 2 message; undefined when the client has too many that it has not released. */
  remember(clientId: string, messageId: number, fingerprint: number): Receipt | undefined {
    const { receipts } = this.#session(clientId);
    if (!receipts.has(messageId)) {
      if (receipts.size >= this.#limits.maxUnreleasedPerClient) return undefined;
      this.#unreleased++;
    }
    const receipt: Receipt = { fingerprint, isDurable: false, repeats: [] };
    receipts.set(messageId, receipt);
    this.#trim(clientId);
    return receipt;
  }

  /** Forgets a message that did not become durable, unless its identifier is in use again. */
  forget(clientId: string, messageId: number, receipt: Receipt): void {
    if (this.receipt(clientId, messageId) === receipt) this.#release(clientId, messageId);
  }

  #release(clientId: string, messageId: number): void {
    const session = this.#sessions.get(clientId);
    if (session?.receipts.delete(messageId) !== true) return;
    this.#unreleased--;
    if (session.receipts.size === 0 && session.filters.size === 0) this.#sessions.delete(clientId);
  }

  #session(clientId: string): Session {
    let session = this.#sessions.get(clientId);
    if (session === undefined) {
      session = { receipts: new Map(), filters: new Set() };
      this.#sessions.set(clientId, session);
    }
    return session;
  }

  #trim(clientId: string): void {
    for (const [oldest, session] of this.#sessions) {
      const isFull =
        this.#sessions.size > this.#limits.maxSessions || this.#unreleased > this.#limits.maxUnreleased;
      if (!isFull || oldest === clientId) return;
      this.#unreleased -= session.receipts.size;
      this.#sessions.delete(oldest);
    }
  }

  #connected(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return;
    this.#sessions.delete(clientId);
    this.#sessions.set(clientId, session);
  }

  // What the broker calls, beginning with QoS 2.

  async setup(): Promise<void> {}

  async incomingGetPacket({ id }: ClientId, { messageId }: Identified): Promise<Receipt> {
    const receipt = messageId === undefined ? undefined : this.receipt(id, messageId);
    if (receipt === undefined) throw new Error('no such message');
    return receipt;
  }

  async incomingDelPacket({ id }: ClientId, { messageId }: Identified): Promise<void> {
    if (messageId !== undefined) this.#release(id, messageId);
  }

  async cleanIncoming({ id }: ClientId): Promise<void> {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#unreleased -= session.receipts.size;
    session.receipts.clear();
    if (session.filters.size === 0) this.#sessions.delete(id);
  }

  async addSubscriptions({ id }: ClientId, subscriptions: readonly Subscription[]): Promise<void> {
    const { filters } = this.#session(id);
    for (const { topic } of subscriptions) {
      // The broker stores refused subscriptions too, and would restore them.
      if (this.#isGranted(topic) && filters.size < this.#limits.maxSubscriptionsPerClient) filters.add(topic);
    }
    this.#trim(id);
  }

  async removeSubscriptions({ id }: ClientId, filters: readonly string[]): Promise<void> {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    for (const filter of filters) session.filters.delete(filter);
    if (session.receipts.size === 0 && session.filters.size === 0) this.#sessions.delete(id);
  }

  async subscriptionsByClient({ id }: ClientId): Promise<{ topic: string; qos: 0 }[]> {
    this.#connected(id);
    return [...(this.#sessions.get(id)?.filters ?? [])].map((topic) => ({ topic, qos: 0 }));
  }

  async cleanSubscriptions({ id }: ClientId): Promise<void> {
    await this.removeSubscriptions({ id }, [...(this.#sessions.get(id)?.filters ?? [])]);
  }

  async subscriptionsByTopic(): Promise<[]> {
    return [];
  }

  async storeRetained(): Promise<void> {}

  createRetainedStreamCombi(): Readable {
    return Readable.from([]);
  }

  async outgoingEnqueueCombi(): Promise<void> {}

  async outgoingClearMessageId(): Promise<undefined> {}

  async outgoingUpdate(): Promise<void> {
    throw new Error('no such message');
  }

  outgoingStream(): Readable {
    return Readable.from([]);
  }

  async putWill(): Promise<void> {}

  async delWill(): Promise<void> {}

  streamWill(): Readable {
    return Readable.from([]);
  }
}
