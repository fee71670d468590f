import type { Logger } from 'pino';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { QuarantineReason } from '../event-log/quarantine-event.ts';

/** Why a message was not taken. Its device was not told that it was, and sends it again when its QoS asks for that. */
export const REFUSAL_REASONS = [
  'unknown_topic',
  'record_too_large',
  'append_failed',
  'append_deadline',
  'too_many_unreleased',
  'overloaded',
  'closing',
  'internal',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Why the gateway closed a connection. */
export const CLOSE_REASONS = [
  'packet_too_large',
  'malformed_length',
  'message_refused',
  'not_draining',
  'no_connect',
  'keepalive',
  'protocol_error',
  'too_many_connections',
  'closing',
] as const;
export type CloseReason = (typeof CLOSE_REASONS)[number];

/** What is read when the metrics are scraped. */
export interface GatewayState {
  readonly connections: number;
  readonly heldConnections: number;
  readonly pendingMessages: number;
  readonly pendingBytes: number;
  readonly isLogAvailable: boolean;
}

const LINE_INTERVAL_MS = 10_000;
const APPEND_SECONDS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/**
 * One method for each thing that happens in the gateway: a counter and, where a person should know, a log line.
 * Of lines of the same kind one is written in ten seconds, with how many it stands for. Counters are plain
 * numbers until they are scraped, since some run once for each message.
 *
 * `received = accepted + quarantined + refused` holds whenever nothing is pending.
 */
export class GatewayEvents {
  readonly #logger: Logger;
  readonly #appendSeconds: Histogram;
  readonly #lines = new Map<string, { silentUntil: number; unwritten: number }>();
  readonly #quarantined = new Map<QuarantineReason, number>();
  readonly #refused = new Map<RefusalReason, number>();
  readonly #closed = new Map<CloseReason, number>();
  #received = 0;
  #accepted = 0;
  #repeated = 0;
  #opened = 0;
  #unforwarded = 0;

  constructor(logger: Logger, registry: Registry, state: () => GatewayState) {
    this.#logger = logger;
    const metrics = new GatewayMetrics(registry);
    metrics.counter('received_messages', 'Messages that devices published', () => this.#received);
    metrics.counter('accepted_messages', 'Messages durable in the telemetry topic', () => this.#accepted);
    metrics.counters('quarantined_messages', 'Messages durable in the quarantine topic', this.#quarantined);
    metrics.counters('refused_messages', 'Messages not taken and not acknowledged', this.#refused);
    metrics.counter('repeated_messages', 'QoS 2 messages sent again and known already', () => this.#repeated);
    metrics.counter(
      'unforwarded_messages',
      'Messages not forwarded to slow subscribers',
      () => this.#unforwarded,
    );
    metrics.counter('opened_connections', 'Connections accepted', () => this.#opened);
    metrics.counters('closed_connections', 'Connections closed by the gateway', this.#closed);
    metrics.gauge('connections', 'Open connections', () => state().connections);
    metrics.gauge('held_connections', 'Connections not read from for now', () => state().heldConnections);
    metrics.gauge('pending_messages', 'Messages on their way into the log', () => state().pendingMessages);
    metrics.gauge('pending_bytes', 'Bytes on their way into the log', () => state().pendingBytes);
    metrics.gauge('log_available', '1 while appends succeed', () => (state().isLogAvailable ? 1 : 0));
    this.#appendSeconds = new Histogram({
      name: 'sluice_gateway_append_seconds',
      help: 'Time from reading a message to its acknowledgement, one sample for each round of acknowledgements',
      buckets: APPEND_SECONDS_BUCKETS,
      registers: [registry],
    });
  }

  listening(host: string, port: number): void {
    this.#logger.info({ host, port }, 'accepting devices over MQTT');
  }

  opened(): void {
    this.#opened++;
  }

  received(): void {
    this.#received++;
  }

  accepted(): void {
    this.#accepted++;
  }

  repeated(): void {
    this.#repeated++;
  }

  quarantined(reason: QuarantineReason, detail: string, deviceId: string): void {
    add(this.#quarantined, reason);
    this.#line(`quarantined ${reason}`, (count) =>
      this.#logger.warn({ reason, detail, deviceId, count }, 'quarantined a payload that cannot be used'),
    );
  }

  refused(reason: RefusalReason, error: unknown, mqttTopic: string): void {
    add(this.#refused, reason);
    this.#line(`refused ${reason}`, (count) =>
      this.#logger.warn({ reason, err: error, mqttTopic, count }, 'refused a message'),
    );
  }

  closed(reason: CloseReason, detail: string, clientId: string | undefined): void {
    add(this.#closed, reason);
    this.#line(`closed ${reason}`, (count) =>
      this.#logger.warn({ reason, detail, clientId, count }, 'closed a connection'),
    );
  }

  unforwarded(): void {
    this.#unforwarded++;
    this.#line('unforwarded', (count) =>
      this.#logger.warn({ count }, 'subscribers are slow: messages are not forwarded to them'),
    );
  }

  /** A round of acknowledgements was sent; `ms` since the oldest message of its first connection was read. */
  acknowledged(ms: number): void {
    this.#appendSeconds.observe(ms / 1_000);
  }

  logUnavailable(reason: string): void {
    this.#logger.error({ reason }, 'the event log takes no messages: devices are not acknowledged');
  }

  logAvailable(): void {
    this.#logger.info('the event log takes messages again');
  }

  serverFailed(error: Error): void {
    this.#line('server', (count) =>
      this.#logger.error({ err: error, count }, 'accepting a connection failed'),
    );
  }

  /** The gateway caught a fault of its own. */
  failed(error: unknown): void {
    this.#line('failed', (count) => this.#logger.error({ err: error, count }, 'a fault in the gateway'));
  }

  #line(kind: string, write: (count: number) => void): void {
    const now = performance.now();
    const line = this.#lines.get(kind);
    if (line !== undefined && now < line.silentUntil) {
      line.unwritten++;
      return;
    }
    write((line?.unwritten ?? 0) + 1);
    this.#lines.set(kind, { silentUntil: now + LINE_INTERVAL_MS, unwritten: 0 });
  }
}

/** Metrics named `sluice_gateway_…` that read their values when they are scraped. */
class GatewayMetrics {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  counter(name: string, help: string, read: () => number): void {
    new Counter({
      name: `sluice_gateway_${name}_total`,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  counters(name: string, help: string, counts: ReadonlyMap<string, number>): void {
    new Counter({
      name: `sluice_gateway_${name}_total`,
      help,
      labelNames: ['reason'],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [reason, count] of counts) this.inc({ reason }, count);
      },
    });
  }

  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `sluice_gateway_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }
}

function add<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
