/** Bounds of the gateway. What happens beyond each is said beside it. */
export interface GatewayLimits {
  /** Largest payload, bytes; larger ones are quarantined. */
  readonly maxPayloadBytes: number;
  /** Largest MQTT packet, bytes after the fixed header; the connection that announces more is closed. */
  readonly maxPacketBytes: number;
  /** Most metrics in one message; messages with more are quarantined. */
  readonly maxMetrics: number;
  /** Longest client id, characters; longer ones are refused with return code 2. */
  readonly maxClientIdLength: number;
  /** Connections beyond this are closed at once. */
  readonly maxConnections: number;
  /** A connection that has sent no CONNECT after this long is closed, ms. */
  readonly connectTimeoutMs: number;
  /**
   * A client with this many messages on their way into the log is not read from until half are done. What it sends
   * meanwhile waits, PINGREQ too.
   */
  readonly maxPendingMessagesPerClient: number;
  /** The same in bytes of records. */
  readonly maxPendingBytesPerClient: number;
  /** With this many bytes of records on their way into the log nobody is read from until half are done. */
  readonly maxPendingBytes: number;
  /** A message that is not durable after this long is given up: its connection is closed unacknowledged, ms. */
  readonly appendDeadlineMs: number;
  /** A client that does not take what is sent to it for this long is disconnected, ms. */
  readonly drainTimeoutMs: number;
  /** QoS 2 messages of one client that wait for its PUBREL; with more its connection is closed. */
  readonly maxUnreleasedPerClient: number;
  /** The same for all clients; with more the clients that have been away longest are forgotten. */
  readonly maxUnreleased: number;
  /** Persistent sessions (clean session 0) remembered; with more those away longest are forgotten. */
  readonly maxSessions: number;
  /** Subscriptions of one client; more are answered with failure. */
  readonly maxSubscriptionsPerClient: number;
  /** Messages on their way to subscribers; with more, further ones are not forwarded. */
  readonly maxPendingForwards: number;
}

const MAX_MQTT_TOPIC_BYTES = 65_535;
/** Room in a packet for the longest topic and the packet identifier. */
const PACKET_HEADER_BYTES = 2 + MAX_MQTT_TOPIC_BYTES + 2;
const MAX_PAYLOAD_BYTES = 64 * 1024;

export const DEFAULT_LIMITS: GatewayLimits = {
  maxPayloadBytes: MAX_PAYLOAD_BYTES,
  maxPacketBytes: MAX_PAYLOAD_BYTES + PACKET_HEADER_BYTES,
  maxMetrics: 100,
  maxClientIdLength: 256,
  maxConnections: 20_000,
  connectTimeoutMs: 10_000,
  maxPendingMessagesPerClient: 1_000,
  maxPendingBytesPerClient: 1024 * 1024,
  maxPendingBytes: 32 * 1024 * 1024,
  appendDeadlineMs: 15_000,
  drainTimeoutMs: 5_000,
  maxUnreleasedPerClient: 1_000,
  maxUnreleased: 100_000,
  maxSessions: 20_000,
  maxSubscriptionsPerClient: 100,
  maxPendingForwards: 1_000,
};

/** Fills in what is not given; `maxPacketBytes` follows `maxPayloadBytes` unless given. */
export function resolveLimits(given: Partial<GatewayLimits> = {}): GatewayLimits {
  const limits = { ...DEFAULT_LIMITS, ...given };
  return { ...limits, maxPacketBytes: given.maxPacketBytes ?? limits.maxPayloadBytes + PACKET_HEADER_BYTES };
}

/** Longest detail of a quarantine event, characters; longer ones are cut. */
export const MAX_DETAIL_LENGTH = 400;

/** JSON writes one UTF-16 unit or one byte of UTF-8 with at most this many bytes. */
const MAX_JSON_EXPANSION = 6;
const QUARANTINE_FRAME_BYTES = 512;

/**
 * No quarantine record is larger than this (key and value, bytes): a topic for quarantined payloads whose
 * `maxRecordBytes` is at least this takes every packet that the gateway lets in.
 */
export function largestQuarantineRecordBytes({ maxPacketBytes, maxClientIdLength }: GatewayLimits): number {
  const topicBytes = Math.min(maxPacketBytes, MAX_MQTT_TOPIC_BYTES);
  const base64Bytes = 4 * Math.ceil((maxPacketBytes - topicBytes) / 3);
  const wholeInBase64Bytes = 4 * Math.ceil(maxPacketBytes / 3);
  const textLength = 2 * maxClientIdLength + 2 * MAX_DETAIL_LENGTH;
  const packetBytes = Math.max(topicBytes * MAX_JSON_EXPANSION + base64Bytes, wholeInBase64Bytes);
  return packetBytes + textLength * MAX_JSON_EXPANSION + QUARANTINE_FRAME_BYTES;
}
