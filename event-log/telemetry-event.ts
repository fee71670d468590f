/** The value of a telemetry record: one device message, or a tick that moves log time on a quiet partition. */
export type TelemetryEvent =
  | { readonly kind: 'messages'; readonly received: number; readonly messages: readonly DeviceMessage[] }
  | { readonly kind: 'tick' };

/** One canonical device message. Values that are neither finite numbers nor booleans are skipped by the fold. */
export interface DeviceMessage {
  /** Event time, ms since the epoch; the event's `received` stands in when the device gave none. */
  readonly ts?: number;
  /** The device's own counter. */
  readonly seq?: number;
  readonly metrics: Readonly<Record<string, unknown>>;
}

/** A single measured value: what the fold folds. */
export interface Reading {
  readonly deviceId: string;
  readonly metric: string;
  readonly value: number;
  /** Event time, ms since the epoch. */
  readonly timestamp: number;
}

/** A telemetry record whose value is not an event of a known version. */
export class UndecodableEventError extends Error {
  readonly code = 'TELEMETRY_EVENT_UNDECODABLE';
  readonly retryable = false;
  override readonly name = 'UndecodableEventError';
}

const SUFFIX = Buffer.from('}');
const TICK = Buffer.from('{"v":1,"tick":true}');

/**
 * Wraps the bytes of a canonical payload (JSON text of one `DeviceMessage` or an array of them, already
 * validated) into an event value without re-serialising them. `received` is ms since the epoch.
 */
export function encodeTelemetryEvent(received: number, canonicalPayload: Buffer): Buffer {
  const prefix = `{"v":1,"received":${received},"data":`;
  const value = Buffer.allocUnsafe(prefix.length + canonicalPayload.length + 1);
  value.write(prefix, 0, 'latin1');
  canonicalPayload.copy(value, prefix.length);
  SUFFIX.copy(value, prefix.length + canonicalPayload.length);
  return value;
}

/** The value of a tick record. Its only meaning is the log time that the log gives it. */
export function encodeTick(): Buffer {
  return TICK;
}

/** Decodes a record's value. Throws `UndecodableEventError` when it is not an event of a known version. */
export function decodeTelemetryEvent(value: Buffer): TelemetryEvent {
  const event = parse(value);
  if (event.v !== 1) throw new UndecodableEventError(`unknown event version ${JSON.stringify(event.v)}`);
  return decodeVersion1(event);
}

function parse(value: Buffer): Record<string, unknown> {
  let event: unknown;
  try {
    event = JSON.parse(value.toString('utf8'));
  } catch (cause) {
    throw new UndecodableEventError('not JSON', { cause });
  }
  if (!isObject(event)) throw new UndecodableEventError('not a JSON object');
  return event;
}

function decodeVersion1(event: Record<string, unknown>): TelemetryEvent {
  if (event.tick === true) return { kind: 'tick' };
  const { received, data } = event;
  if (typeof received !== 'number' || !Number.isSafeInteger(received)) {
    throw new UndecodableEventError('"received" is not a time in ms');
  }
  const messages: unknown[] = Array.isArray(data) ? data : [data];
  if (!messages.every(isDeviceMessage)) throw new UndecodableEventError('"data" is not a canonical payload');
  return { kind: 'messages', received, messages };
}

function isDeviceMessage(message: unknown): message is DeviceMessage {
  if (!isObject(message)) return false;
  const { ts, seq, metrics } = message;
  return (
    (ts === undefined || Number.isSafeInteger(ts)) &&
    (seq === undefined || (typeof seq === 'number' && Number.isSafeInteger(seq) && seq >= 0)) &&
    isObject(metrics)
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
