import type { PublishPacket } from 'aedes';
import { RecordTooLargeError } from '../event-log/errors.ts';
import { murmur2, partitionOf } from '../event-log/partition.ts';
import { encodeQuarantineEvent } from '../event-log/quarantine-event.ts';
import { encodeTelemetryEvent } from '../event-log/telemetry-event.ts';
import type { TopicNames } from '../event-log/topics.ts';
import type { DeviceConnection, Route } from './device-connection.ts';
import type { TopicMatcher } from './device-topic.ts';
import type { GatewayEvents, RefusalReason } from './gateway-events.ts';
import { type GatewayLimits, MAX_DETAIL_LENGTH } from './limits.ts';
import type { LogAvailability } from './log-availability.ts';
import { type AppendLog, LogWriter } from './log-writer.ts';
import { decodePayload } from './payload.ts';
import type { PendingBudget } from './pending-budget.ts';
import type { PendingMessage } from './pending-message.ts';
import type { Receipt, Sessions } from './sessions.ts';

export interface IngestOptions {
  readonly log: AppendLog;
  readonly topics: TopicNames;
  readonly limits: GatewayLimits;
  readonly deviceIdOf: TopicMatcher;
  readonly sessions: Sessions;
  readonly budget: PendingBudget;
  readonly availability: LogAvailability;
  readonly events: GatewayEvents;
  /** Called with each telemetry message once it is durable. */
  readonly onDurable: (packet: PublishPacket) => void;
}

/** Who published a message, and when. */
export interface Origin {
  readonly clientId: string;
  /** Undefined for a will, which outlives its connection. */
  readonly connection: DeviceConnection | undefined;
  /** Ms since the epoch. */
  readonly received: number;
  /** Ms of the monotonic clock. */
  readonly startedAt: number;
}

type Destination = Pick<PendingMessage, 'topic' | 'partition' | 'key' | 'value' | 'quarantine'>;

/** Bytes that a pending message holds beside its record and its payload. */
const MESSAGE_OVERHEAD_BYTES = 512;

/** Takes messages from MQTT into the log: decode, append, and settle what is owed once the append is durable. */
export class Ingest {
  readonly #options: IngestOptions;
  readonly #writer: LogWriter;
  readonly #telemetryPartitions: number;
  readonly #quarantinePartitions: number;

  /** Throws `UnknownTopicError` when the log was not opened with the topics. */
  constructor(options: IngestOptions) {
    const { log, topics, limits } = options;
    this.#options = options;
    this.#telemetryPartitions = log.partitions(topics.telemetry);
    this.#quarantinePartitions = log.partitions(topics.quarantine);
    this.#writer = new LogWriter({
      log,
      appendDeadlineMs: limits.appendDeadlineMs,
      onDurable: (message) => this.#durable(message),
      onFailed: (message, error) => this.#failed(message, error),
      onFull: (isFull) => options.budget.logIsFull(isFull),
    });
  }

  /** Takes one message up. It is acknowledged, or its connection closed, when it is settled. */
  publish(origin: Origin, packet: PublishPacket): void {
    const { connection, clientId } = origin;
    const route = this.#routeOf(connection, packet.topic);
    if (packet.qos === 2 && connection !== undefined) {
      this.#publishExactlyOnce(origin, packet, connection, route);
      return;
    }
    if (route === undefined && packet.qos === 0) {
      this.refuse(packet, 'unknown_topic');
      return;
    }
    this.#append(origin, packet, this.#destination(packet, origin, route, clientId), undefined);
  }

  /** Does not take a message up, and counts it. */
  refuse(packet: PublishPacket, reason: RefusalReason): void {
    this.#options.events.received();
    this.#options.events.refused(reason, undefined, packet.topic);
  }

  /** Gives up messages that wait since before `time` (monotonic, ms). */
  giveUp(connection: DeviceConnection, time: number): void {
    const { limits, availability } = this.#options;
    for (const message of connection.waitingSince(time)) {
      const error = new Error(`not durable within ${limits.appendDeadlineMs} ms`);
      availability.failed(error);
      this.#refuse(message, 'append_deadline', error);
    }
  }

  #publishExactlyOnce(
    origin: Origin,
    packet: PublishPacket,
    connection: DeviceConnection,
    route: Route | undefined,
  ): void {
    const { sessions, events } = this.#options;
    const { clientId } = origin;
    const { messageId = 0, payload } = packet;
    // A client that lost its state uses identifiers again that it never released, for messages of other content.
    const fingerprint = murmur2(typeof payload === 'string' ? Buffer.from(payload) : payload);
    const known = sessions.receipt(clientId, messageId);
    if (known?.fingerprint === fingerprint) {
      events.repeated();
      this.#repeat(origin, packet, connection, known);
      return;
    }
    const receipt = sessions.remember(clientId, messageId, fingerprint);
    if (receipt === undefined) {
      this.refuse(packet, 'too_many_unreleased');
      connection.close('message_refused', 'too many QoS 2 messages wait for PUBREL');
      return;
    }
    this.#append(origin, packet, this.#destination(packet, origin, route, clientId), receipt);
  }

  #repeat(origin: Origin, packet: PublishPacket, connection: DeviceConnection, receipt: Receipt): void {
    const destination = { topic: '', partition: 0, key: '', value: Buffer.alloc(0), quarantine: undefined };
    const message = pendingMessage(origin, packet, destination, receipt, true);
    connection.add(message);
    if (!receipt.isDurable) {
      receipt.repeats.push(message);
      return;
    }
    message.state = 'durable';
    connection.settled(message);
  }

  #routeOf(connection: DeviceConnection | undefined, mqttTopic: string): Route | undefined {
    const known = connection?.route;
    if (known?.mqttTopic === mqttTopic) return known;
    const deviceId = this.#options.deviceIdOf(mqttTopic);
    if (deviceId === undefined) return undefined;
    const route = { mqttTopic, deviceId, partition: partitionOf(deviceId, this.#telemetryPartitions) };
    if (connection !== undefined) connection.route = route;
    return route;
  }

  #destination(
    packet: PublishPacket,
    { received }: Origin,
    route: Route | undefined,
    clientId: string,
  ): Destination {
    const { topics, limits } = this.#options;
    const payload = payloadOf(packet);
    if (route === undefined) {
      const detail = `the topic ${JSON.stringify(packet.topic.slice(0, 200))} names no device of the topic template`;
      return this.#quarantine(packet, { clientId, received }, clientId, { reason: 'unknown_topic', detail });
    }
    const decoded = decodePayload(payload, limits);
    if (decoded.kind === 'unusable') {
      return this.#quarantine(packet, { clientId, received }, route.deviceId, decoded);
    }
    return {
      topic: topics.telemetry,
      partition: route.partition,
      key: route.deviceId,
      value: encodeTelemetryEvent(received, decoded.canonical),
      quarantine: undefined,
    };
  }

  #quarantine(
    packet: PublishPacket,
    { clientId, received }: Pick<Origin, 'clientId' | 'received'>,
    key: string,
    why: NonNullable<PendingMessage['quarantine']>,
  ): Destination {
    const reason = why.reason;
    const detail = why.detail.slice(0, MAX_DETAIL_LENGTH);
    const origin = { kind: 'mqtt', mqttTopic: packet.topic, clientId } as const;
    return {
      topic: this.#options.topics.quarantine,
      partition: partitionOf(key, this.#quarantinePartitions),
      key,
      value: encodeQuarantineEvent({ reason, detail, origin, received, payload: payloadOf(packet) }),
      quarantine: { reason, detail },
    };
  }

  #append(origin: Origin, packet: PublishPacket, to: Destination, receipt: Receipt | undefined): void {
    const message = pendingMessage(origin, packet, to, receipt, false);
    this.#options.events.received();
    this.#options.budget.take(message.bytes);
    origin.connection?.add(message);
    this.#writer.append(message);
  }

  #durable(message: PendingMessage): void {
    const { budget, availability, events, onDurable } = this.#options;
    budget.give(message.bytes);
    availability.succeeded();
    // A message that was given up may become durable all the same: it counts as refused, as its device was told.
    if (message.state !== 'waiting') return;
    const { quarantine, receipt } = message;
    if (quarantine === undefined) events.accepted();
    else events.quarantined(quarantine.reason, quarantine.detail, message.key);
    settle(message, 'durable');
    if (receipt !== undefined) {
      receipt.isDurable = true;
      for (const repeat of receipt.repeats.splice(0)) settle(repeat, 'durable');
    }
    if (quarantine === undefined) onDurable(message.packet);
  }

  #failed(message: PendingMessage, error: unknown): void {
    if (error instanceof RecordTooLargeError && message.quarantine === undefined) {
      this.#quarantineInstead(message, error);
      return;
    }
    this.#options.budget.give(message.bytes);
    if (error instanceof RecordTooLargeError) {
      this.#refuse(message, 'record_too_large', error);
      return;
    }
    this.#options.availability.failed(error instanceof Error ? error : new Error(String(error)));
    this.#refuse(message, 'append_failed', error);
  }

  #quarantineInstead(message: PendingMessage, error: RecordTooLargeError): void {
    const why = { reason: 'payload_too_large', detail: error.message } as const;
    const { topic, partition, value } = this.#quarantine(message.packet, message, message.key, why);
    Object.assign(message, { topic, partition, value, quarantine: why });
    this.#writer.append(message);
  }

  #refuse(message: PendingMessage, reason: RefusalReason, error: unknown): void {
    if (message.state !== 'waiting') return;
    const { receipt, connection, packet, clientId, messageId, qos } = message;
    if (!message.isRepeat) this.#options.events.refused(reason, error, packet.topic);
    settle(message, 'refused');
    if (qos > 0) connection?.close('message_refused', reason);
    if (receipt === undefined || message.isRepeat) return;
    this.#options.sessions.forget(clientId, messageId, receipt);
    for (const repeat of receipt.repeats.splice(0)) this.#refuse(repeat, reason, error);
  }
}

function pendingMessage(
  { clientId, connection, received, startedAt }: Origin,
  packet: PublishPacket,
  { topic, partition, key, value, quarantine }: Destination,
  receipt: Receipt | undefined,
  isRepeat: boolean,
): PendingMessage {
  return {
    topic,
    partition,
    key,
    value,
    bytes: value.length + packet.payload.length + MESSAGE_OVERHEAD_BYTES,
    clientId,
    connection,
    packet,
    qos: packet.qos,
    messageId: packet.messageId ?? 0,
    received,
    startedAt,
    quarantine,
    receipt,
    isRepeat,
    state: 'waiting',
  };
}

function settle(message: PendingMessage, state: 'durable' | 'refused'): void {
  message.state = state;
  message.connection?.settled(message);
}

function payloadOf({ payload }: PublishPacket): Buffer {
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
}
