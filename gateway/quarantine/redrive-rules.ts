import { RecordTooLargeError } from '../../event-log/errors.ts';
import type { QuarantineEvent, QuarantineReason } from '../../event-log/quarantine-event.ts';
import {
  decodeTelemetryEvent,
  encodeTelemetryEvent,
  type TelemetryEvent,
  UndecodableEventError,
} from '../../event-log/telemetry-event.ts';
import type { TopicMatcher } from '../device-topic.ts';
import { decodePayload, type PayloadLimits, type UnusablePayload } from '../payload.ts';
import type { StoredEvent } from './quarantine-topic.ts';

/** By what a quarantined payload is judged again. */
export interface RedriveRules {
  readonly deviceIdOf: TopicMatcher;
  readonly limits: PayloadLimits;
  /** A message whose event time is further behind or ahead than this would come back from the processor, ms. */
  readonly maxAgeMs: number;
  readonly maxAheadMs: number;
}

/** A quarantined payload as the telemetry topic takes it, or why it still cannot be used. */
export type JudgedEvent = UsableEvent | UnusablePayload;

export interface UsableEvent {
  readonly kind: 'usable';
  readonly deviceId: string;
  /** The telemetry record's value. */
  readonly value: Buffer;
  /** Whether the fold tells by every message's `seq` or `ts` that it was folded before. */
  readonly isRecognisable: boolean;
}

/** Judges a quarantined payload by the present rules, `now` being ms since the epoch. */
export function judge({ event, deviceId }: StoredEvent, rules: RedriveRules, now: number): JudgedEvent {
  const device = event.origin.kind === 'mqtt' ? rules.deviceIdOf(event.origin.mqttTopic) : deviceId;
  if (device === undefined) {
    return unusable('unknown_topic', 'the topic still names no device of the topic template');
  }
  const value = event.reason === 'undecodable_event' ? event.payload : eventValue(event, rules.limits);
  if (!Buffer.isBuffer(value)) return value;
  const telemetry = decode(value);
  if (telemetry.kind === 'unusable') return telemetry;
  const mistimed = timeFault(telemetry, rules, now);
  if (mistimed !== undefined) return mistimed;
  const isRecognisable = telemetry.messages.every(({ seq, ts }) => seq !== undefined || ts !== undefined);
  return { kind: 'usable', deviceId: device, value, isRecognisable };
}

/** What an append was refused with, if the payload itself is at fault. */
export function faultOf(error: unknown): UnusablePayload | undefined {
  return error instanceof RecordTooLargeError ? unusable('payload_too_large', error.message) : undefined;
}

function eventValue({ payload, received }: QuarantineEvent, limits: PayloadLimits): Buffer | UnusablePayload {
  const decoded = decodePayload(payload, limits);
  return decoded.kind === 'usable' ? encodeTelemetryEvent(received, decoded.canonical) : decoded;
}

type Messages = Extract<TelemetryEvent, { kind: 'messages' }>;

function decode(value: Buffer): Messages | UnusablePayload {
  try {
    const event = decodeTelemetryEvent(value);
    return event.kind === 'messages' ? event : unusable('undecodable_event', 'a tick carries no message');
  } catch (error) {
    if (!(error instanceof UndecodableEventError)) throw error;
    return unusable('undecodable_event', error.message);
  }
}

/** Why the processor would refuse every message; those of an array that it accepts are worth the others' return. */
function timeFault(
  { messages, received }: Messages,
  { maxAgeMs, maxAheadMs }: RedriveRules,
  now: number,
): UnusablePayload | undefined {
  const times = messages.map(({ ts }) => ts ?? received);
  const latest = Math.max(...times);
  const earliest = Math.min(...times);
  if (now - latest > maxAgeMs) {
    const expected = `at most ${maxAgeMs} ms (maxAge) is accepted`;
    return unusable('too_old', `event time ${latest} is ${now - latest} ms ago; ${expected}`);
  }
  if (earliest - now > maxAheadMs) {
    const expected = `at most ${maxAheadMs} ms (maxAhead) is accepted`;
    return unusable('too_far_ahead', `event time ${earliest} is ${earliest - now} ms ahead; ${expected}`);
  }
  return undefined;
}

function unusable(reason: QuarantineReason, detail: string): UnusablePayload {
  return { kind: 'unusable', reason, detail };
}
