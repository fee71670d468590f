/**
 * Why a payload could not be used. Given by the gateway: `unknown_topic` to `metric_name`;
 * by a processor: `too_far_ahead` to `budget_exceeded`.
 */
export const QUARANTINE_REASONS = [
  'unknown_topic',
  'payload_too_large',
  'not_utf8',
  'not_json',
  'not_an_object',
  'empty',
  'timestamp',
  'sequence',
  'too_many_metrics',
  'metric_name',
  'too_far_ahead',
  'too_old',
  'undecodable_event',
  'budget_exceeded',
] as const;

export type QuarantineReason = (typeof QUARANTINE_REASONS)[number];

/** The value of a quarantine record: everything needed to understand the payload and to send it again. */
export interface QuarantineEvent {
  readonly reason: QuarantineReason;
  /** One sentence naming the value seen and what was expected. */
  readonly detail: string;
  /** Where the device published it; the telemetry record's position when a processor quarantined it. */
  readonly origin:
    | { readonly kind: 'mqtt'; readonly mqttTopic: string; readonly clientId: string }
    | {
        readonly kind: 'record';
        readonly partition: number;
        readonly offset: bigint;
        readonly index: number;
      };
  /** When it was received, ms since the epoch. */
  readonly received: number;
  /** The original bytes (`mqtt`), or the JSON text of the one message in the record (`record`). */
  readonly payload: Buffer;
}

export function encodeQuarantineEvent(event: QuarantineEvent): Buffer {
  const { reason, detail, origin, received, payload } = event;
  const where = origin.kind === 'record' ? { ...origin, offset: origin.offset.toString() } : origin;
  return Buffer.from(
    JSON.stringify({ v: 1, reason, detail, origin: where, received, payload: payload.toString('base64') }),
  );
}

/** A quarantine record whose value is not an event of a known version. */
export class UndecodableQuarantineEventError extends Error {
  readonly code = 'QUARANTINE_EVENT_UNDECODABLE';
  readonly retryable = false;
  override readonly name = 'UndecodableQuarantineEventError';
}

/** Decodes a record's value. Throws `UndecodableQuarantineEventError` when it is not an event of a known version. */
export function decodeQuarantineEvent(value: Buffer): QuarantineEvent {
  const event = parse(value);
  if (event.v !== 1) throw undecodable(`unknown event version ${JSON.stringify(event.v)}`);
  const { detail, received, payload } = event;
  if (typeof detail !== 'string') throw undecodable('"detail" is not a text');
  if (!isCount(received)) throw undecodable('"received" is not a time in ms');
  if (typeof payload !== 'string') throw undecodable('"payload" is not base64');
  return {
    reason: reasonOf(event.reason),
    detail,
    origin: originOf(event.origin),
    received,
    payload: Buffer.from(payload, 'base64'),
  };
}

function parse(value: Buffer): Record<string, unknown> {
  let event: unknown;
  try {
    event = JSON.parse(value.toString('utf8'));
  } catch (cause) {
    throw new UndecodableQuarantineEventError('not JSON', { cause });
  }
  if (!isObject(event)) throw undecodable('not a JSON object');
  return event;
}

function reasonOf(value: unknown): QuarantineReason {
  const reason = QUARANTINE_REASONS.find((known) => known === value);
  if (reason === undefined) throw undecodable(`unknown reason ${JSON.stringify(value)}`);
  return reason;
}

function originOf(value: unknown): QuarantineEvent['origin'] {
  if (!isObject(value)) throw undecodable('"origin" is not an object');
  const { kind, mqttTopic, clientId, partition, offset, index } = value;
  if (kind === 'mqtt' && typeof mqttTopic === 'string' && typeof clientId === 'string') {
    return { kind, mqttTopic, clientId };
  }
  if (kind === 'record' && isCount(partition) && isDecimal(offset) && isCount(index)) {
    return { kind, partition, offset: BigInt(offset), index };
  }
  throw undecodable(`unknown origin ${JSON.stringify(value)}`);
}

function undecodable(what: string): UndecodableQuarantineEventError {
  return new UndecodableQuarantineEventError(what);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isDecimal(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,19}$/.test(value);
}
