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
