import { EventEmitter } from 'node:events';
import { Aedes, type AedesOptions, type Client, type PublishPacket } from 'aedes';

type Published = (error?: Error) => void;
type Deliver = Parameters<Aedes['subscribe']>[1];

/**
 * The MQTT broker without what an ingest gateway has no use for: what devices publish ends in
 * `authorizePublish`, and reaches subscribers only through `forward`.
 */
export class IngestBroker extends Aedes {
  readonly #maxPendingForwards: number;
  #subscriptions = 0;
  #pendingForwards = 0;

  constructor(options: AedesOptions, maxPendingForwards: number) {
    super(options);
    this.#maxPendingForwards = maxPendingForwards;
  }

  get hasSubscribers(): boolean {
    return this.#subscriptions > 0;
  }

  /** Sends a message to its subscribers, at most once; false when too many are on their way already. */
  forward({ topic, payload }: PublishPacket): boolean {
    if (this.#pendingForwards >= this.#maxPendingForwards) return false;
    this.#pendingForwards++;
    super.publish({ cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false }, () => {
      this.#pendingForwards--;
    });
    return true;
  }

  /** The broker calls this with its own messages, and (with the client) for each message of a device. */
  override publish(packet: PublishPacket, clientOrDone: Client | null | Published, done?: Published): void {
    if (typeof clientOrDone === 'function') super.publish(packet, clientOrDone);
    else done?.();
  }

  override subscribe(topic: string, deliver: Deliver, done: () => void): void {
    this.#subscriptions++;
    super.subscribe(topic, deliver, done);
  }

  override unsubscribe(topic: string, deliver: Deliver, done: () => void): void {
    this.#subscriptions--;
    super.unsubscribe(topic, deliver, done);
  }
}

/**
 * Makes SUBACK tell the truth: the broker grants the QoS that was asked for, whatever `authorizeSubscribe` decides,
 * so a subscription is brought down to QoS 0 before the broker sees it.
 */
export function grantAtMostOnce(client: Client): void {
  const parser: unknown = Reflect.get(client, '_parser');
  if (!(parser instanceof EventEmitter)) throw new Error('the MQTT broker keeps its parser elsewhere');
  parser.prependListener('packet', (packet: { subscriptions?: { qos: number }[] }) => {
    for (const subscription of packet.subscriptions ?? []) subscription.qos = 0;
  });
}
