import { createServer, type Server, type Socket } from 'node:net';
import type { AedesOptions, Client, PublishPacket } from 'aedes';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { TopicNames } from '../event-log/topics.ts';
import { AckRounds } from './ack-rounds.ts';
import { DeviceConnection } from './device-connection.ts';
import { compileTopicTemplate } from './device-topic.ts';
import { type CloseReason, GatewayEvents } from './gateway-events.ts';
import { Ingest } from './ingest.ts';
import { grantAtMostOnce, IngestBroker } from './ingest-broker.ts';
import { type GatewayLimits, resolveLimits } from './limits.ts';
import { LogAvailability, type Readiness } from './log-availability.ts';
import type { AppendLog } from './log-writer.ts';
import { PendingBudget } from './pending-budget.ts';
import { Sessions } from './sessions.ts';

export { DEFAULT_LIMITS, type GatewayLimits, largestQuarantineRecordBytes } from './limits.ts';
export type { Readiness } from './log-availability.ts';

export interface GatewayOptions {
  /** Stays the caller's: the gateway does not close it. */
  readonly log: AppendLog;
  readonly topics: TopicNames;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Where devices publish; default `devices/{deviceId}/telemetry`. */
  readonly topicTemplate?: string;
  /** Bounds that differ from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<GatewayLimits>;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Ms since the epoch. */
  readonly clock: () => number;
}

/** Takes telemetry from devices over MQTT 3.1.1 and acknowledges it when it is durable in the event log. */
export interface Gateway {
  readonly port: number;
  /** Whether messages are being taken, and why not. */
  ready(): Readiness;
  /**
   * Stops accepting and reading, waits up to `deadlineMs` (default 10,000) until what was read is durable and
   * acknowledged, then closes the connections. Wills are not published. Idempotent.
   */
  close(deadlineMs?: number): Promise<void>;
}

export const DEFAULT_TOPIC_TEMPLATE = 'devices/{deviceId}/telemetry';
const CLOSE_DEADLINE_MS = 10_000;
const MAX_SWEEP_INTERVAL_MS = 1_000;

/**
 * Listens for devices. Rejects with `TopicTemplateError`, with `UnknownTopicError` when the log lacks a topic, or
 * with the system's error when it cannot listen.
 */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const gateway = new MqttGateway(options);
  await gateway.listen(options.host, options.port);
  return gateway;
}

class MqttGateway implements Gateway {
  readonly #options: GatewayOptions;
  readonly #limits: GatewayLimits;
  readonly #events: GatewayEvents;
  readonly #rounds: AckRounds;
  readonly #budget: PendingBudget;
  readonly #availability: LogAvailability;
  readonly #broker: IngestBroker;
  readonly #ingest: Ingest;
  readonly #server: Server;
  readonly #connections = new Map<Client, DeviceConnection>();
  #sweep: NodeJS.Timeout | undefined;
  #port = 0;
  #isClosing = false;
  #closing: Promise<void> | undefined;

  constructor(options: GatewayOptions) {
    const { log, topics, logger, registry } = options;
    this.#options = options;
    const limits = resolveLimits(options.limits);
    this.#limits = limits;
    const events = new GatewayEvents(logger, registry, () => this.#state());
    this.#events = events;
    this.#rounds = new AckRounds((ms) => events.acknowledged(ms));
    this.#budget = new PendingBudget(limits.maxPendingBytes, (connection) => this.#rounds.add(connection));
    this.#availability = new LogAvailability(log, events);
    const sessions = new Sessions(limits, isGrantable);
    this.#broker = new IngestBroker(this.#brokerOptions(sessions), limits.maxPendingForwards);
    this.#ingest = new Ingest({
      log,
      topics,
      limits,
      deviceIdOf: compileTopicTemplate(options.topicTemplate ?? DEFAULT_TOPIC_TEMPLATE),
      sessions,
      budget: this.#budget,
      availability: this.#availability,
      events,
      onDurable: (packet) => this.#forward(packet),
    });
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = limits.maxConnections;
  }

  get port(): number {
    return this.#port;
  }

  ready(): Readiness {
    if (this.#isClosing) return { ok: false, reason: 'the gateway is closing' };
    return this.#availability.readiness;
  }

  async listen(host: string, port: number): Promise<void> {
    await this.#broker.listen();
    this.#watchBroker();
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ host, port }, () => {
          this.#server.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      await this.#closeBroker();
      throw error;
    }
    const address = this.#server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
    this.#server.on('error', (error) => this.#events.serverFailed(error));
    this.#server.on('drop', () =>
      this.#events.closed('too_many_connections', 'see maxConnections', undefined),
    );
    const intervalMs = Math.min(MAX_SWEEP_INTERVAL_MS, this.#limits.appendDeadlineMs / 4);
    this.#sweep = setInterval(() => this.#sweepConnections(), intervalMs);
    this.#events.listening(host, this.#port);
  }

  close(deadlineMs: number = CLOSE_DEADLINE_MS): Promise<void> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#closing;
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#isClosing = true;
    const deadline = performance.now() + deadlineMs;
    const serverClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await before(deadline, this.#budget.close());
    this.#rounds.flush();
    // What was written is sent before the connection ends.
    for (const { socket } of this.#connections.values()) socket.destroySoon();
    await before(deadline, serverClosed);
    clearInterval(this.#sweep);
    for (const connection of this.#connections.values()) {
      connection.close('closing', 'the client did not let its connection end');
    }
    await this.#closeBroker();
    await serverClosed;
  }

  #closeBroker(): Promise<void> {
    return new Promise((resolve) => this.#broker.close(() => resolve()));
  }

  #brokerOptions(sessions: Sessions): AedesOptions {
    const { connectTimeoutMs, drainTimeoutMs, maxClientIdLength } = this.#limits;
    return {
      persistence: sessions,
      connectTimeout: connectTimeoutMs,
      drainTimeout: drainTimeoutMs,
      // Packets that a client may send without waiting for CONNACK.
      queueLimit: this.#limits.maxPendingMessagesPerClient,
      // MQTT 3.1 allows 23; 3.1.1 leaves it to the server.
      maxClientsIdLength: maxClientIdLength,
      authenticate: (client, _username, _password, done) => {
        const connection = this.#connections.get(client);
        if (connection !== undefined && client.id.length <= maxClientIdLength) {
          connection.clientId = client.id;
          done(null, true);
        } else done(Object.assign(new Error('client id too long'), { returnCode: 2 }), null);
      },
      authorizePublish: (client, packet, done) => done(this.#authorizePublish(client, packet)),
      authorizeSubscribe: (client, subscription, done) => {
        done(null, this.#maySubscribe(client, subscription.topic) ? subscription : null);
      },
    };
  }

  #watchBroker(): void {
    this.#broker.on('unsubscribe', (filters, client) => {
      const connection = this.#connections.get(client);
      for (const filter of filters) connection?.filters.delete(filter);
    });
    const onFault = (client: Client, error: Error) => this.#protocolError(client, error);
    this.#broker.on('clientError', onFault);
    this.#broker.on('connectionError', onFault);
    // The broker reports faults of its storage as `error`, which unheard would end the process.
    this.#broker.addListener('error', (error: unknown) => this.#events.failed(error));
  }

  #accept(socket: Socket): void {
    if (this.#isClosing) {
      socket.destroy();
      return;
    }
    const { clock } = this.#options;
    const connection = new DeviceConnection(socket, {
      limits: this.#limits,
      budget: this.#budget,
      rounds: this.#rounds,
      events: this.#events,
      clock,
    });
    const client = this.#broker.handle(socket);
    grantAtMostOnce(client);
    this.#connections.set(client, connection);
    this.#events.opened();
    socket.once('close', () => {
      this.#connections.delete(client);
      connection.ended();
    });
  }

  /**
   * Takes a message that a device published. The broker is told that it was QoS 0, so that it neither acknowledges
   * nor stores it: the connection acknowledges when the append is durable. An exception here would end the process.
   */
  #authorizePublish(client: Client | null, packet: PublishPacket): Error | null {
    try {
      const connection = client === null || client.closed ? undefined : this.#connections.get(client);
      if (connection === undefined) this.#takeWill(client, packet);
      else if (connection.clientId !== undefined && connection.isOpen) {
        const { clientId, received, readAt } = connection;
        this.#ingest.publish({ clientId, connection, received, startedAt: readAt }, packet);
      } else return new Error('PUBLISH outside of a connection');
      packet.qos = 0;
      packet.retain = false;
      return null;
    } catch (error) {
      this.#events.failed(error);
      return new Error('the gateway failed', { cause: error });
    }
  }

  #takeWill(client: Client | null, packet: PublishPacket): void {
    if (this.#isClosing) this.#ingest.refuse(packet, 'closing');
    else if (this.#budget.isExhausted) this.#ingest.refuse(packet, 'overloaded');
    else {
      const origin = { clientId: client?.id ?? '', connection: undefined };
      const [received, startedAt] = [this.#options.clock(), performance.now()];
      this.#ingest.publish({ ...origin, received, startedAt }, packet);
    }
  }

  #maySubscribe(client: Client, filter: string): boolean {
    const filters = this.#connections.get(client)?.filters;
    if (filters === undefined || !isGrantable(filter)) return false;
    if (!filters.has(filter) && filters.size >= this.#limits.maxSubscriptionsPerClient) return false;
    filters.add(filter);
    return true;
  }

  #forward(packet: PublishPacket): void {
    if (this.#broker.hasSubscribers && !this.#broker.forward(packet)) this.#events.unforwarded();
  }

  #protocolError(client: Client, error: Error): void {
    if (!isReset(error)) this.#events.closed(closeReason(error), error.message, client.id ?? undefined);
  }

  #sweepConnections(): void {
    const now = performance.now();
    for (const connection of this.#connections.values()) {
      this.#ingest.giveUp(connection, now - this.#limits.appendDeadlineMs);
      connection.closeUndrained(now - this.#limits.drainTimeoutMs);
    }
    this.#availability.ask();
  }

  #state() {
    return {
      connections: this.#connections.size,
      heldConnections: this.#budget.held,
      pendingMessages: this.#budget.messages,
      pendingBytes: this.#budget.bytes,
      isLogAvailable: this.#availability.readiness.ok,
    };
  }
}

/** Whether clients may subscribe to a filter: not to the broker's own topics. */
function isGrantable(filter: string): boolean {
  return !filter.startsWith('$');
}

/** The broker tells its reasons in words only. */
function closeReason({ message }: Error): CloseReason {
  if (message === 'keep alive timeout') return 'keepalive';
  return message === 'connect did not arrive in time' ? 'no_connect' : 'protocol_error';
}

/** A connection that its peer cut: an ordinary end, not a fault. */
function isReset(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

async function before(deadline: number, done: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, deadline - performance.now()));
  });
  await Promise.race([done, late]);
  clearTimeout(timer);
}
