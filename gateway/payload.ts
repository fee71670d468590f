import { isUtf8 } from 'node:buffer';
import type { QuarantineReason } from '../event-log/quarantine-event.ts';

/** A payload as the log takes it, or why it cannot be used. */
export type DecodedPayload = { readonly kind: 'usable'; readonly canonical: Buffer } | UnusablePayload;

export interface UnusablePayload {
  readonly kind: 'unusable';
  readonly reason: QuarantineReason;
  /** One sentence naming the value seen and what was expected. */
  readonly detail: string;
}

export interface PayloadLimits {
  readonly maxPayloadBytes: number;
  readonly maxMetrics: number;
}

type JsonObject = Readonly<Record<string, unknown>>;
/** `canonical` messages have their metrics under `metrics`, `flat` ones are their metrics. */
type Shape = 'canonical' | 'flat';

const METRIC_NAME = /^[A-Za-z0-9._/-]{1,64}$/;
const FLAT_PREFIX = Buffer.from('{"metrics":');
const FLAT_SUFFIX = Buffer.from('}');

/**
 * Checks a device's payload and brings it into canonical form. A canonical payload's own bytes are handed back:
 * copy them before the buffer is used again. Never throws.
 */
export function decodePayload(payload: Buffer, limits: PayloadLimits): DecodedPayload {
  const { length } = payload;
  if (length === 0) return unusable('empty', 'the payload has no bytes; expected JSON');
  if (length > limits.maxPayloadBytes) {
    return unusable('payload_too_large', `${length} bytes; expected at most ${limits.maxPayloadBytes}`);
  }
  if (!isUtf8(payload)) return unusable('not_utf8', `${length} bytes that are not UTF-8; expected JSON`);
  let content: unknown;
  try {
    content = JSON.parse(payload.toString('utf8'));
  } catch (error) {
    return unusable('not_json', `not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  return Array.isArray(content) ? decodeList(payload, content, limits) : decodeOne(payload, content, limits);
}

function decodeOne(payload: Buffer, message: unknown, { maxMetrics }: PayloadLimits): DecodedPayload {
  const shape = shapeOf(message, undefined, maxMetrics);
  if (typeof shape === 'object') return shape;
  if (shape === 'canonical') return { kind: 'usable', canonical: payload };
  if (isObject(message) && (message.ts !== undefined || message.seq !== undefined)) {
    return canonicalText(() => flatToCanonical(message));
  }
  return { kind: 'usable', canonical: Buffer.concat([FLAT_PREFIX, payload, FLAT_SUFFIX]) };
}

function decodeList(payload: Buffer, messages: readonly unknown[], limits: PayloadLimits): DecodedPayload {
  if (messages.length === 0) return unusable('empty', 'an array without messages; expected at least one');
  const shapes: Shape[] = [];
  for (const [index, message] of messages.entries()) {
    const shape = shapeOf(message, index, limits.maxMetrics);
    if (typeof shape === 'object') return shape;
    shapes.push(shape);
  }
  if (!shapes.includes('flat')) return { kind: 'usable', canonical: payload };
  const textOf = (message: unknown, index: number) =>
    shapes[index] === 'flat' && isObject(message) ? flatToCanonical(message) : JSON.stringify(message);
  return canonicalText(() => `[${messages.map(textOf).join(',')}]`);
}

function shapeOf(message: unknown, index: number | undefined, maxMetrics: number): Shape | UnusablePayload {
  if (!isObject(message)) {
    return unusable('not_an_object', `${at(index)}${describe(message)}; expected an object`);
  }
  const { ts, seq, metrics } = message;
  if (ts !== undefined && !isCount(ts)) {
    return unusable('timestamp', `${at(index)}"ts" is ${describe(ts)}; expected whole ms since the epoch`);
  }
  if (seq !== undefined && !isCount(seq)) {
    return unusable('sequence', `${at(index)}"seq" is ${describe(seq)}; expected a whole number from 0 up`);
  }
  if (metrics === undefined) return metricsFault(message, 'flat', index, maxMetrics) ?? 'flat';
  if (!isObject(metrics)) {
    return unusable('not_an_object', `${at(index)}"metrics" is ${describe(metrics)}; expected an object`);
  }
  return metricsFault(metrics, 'canonical', index, maxMetrics) ?? 'canonical';
}

function metricsFault(
  metrics: JsonObject,
  shape: Shape,
  index: number | undefined,
  maxMetrics: number,
): UnusablePayload | undefined {
  let count = 0;
  for (const name in metrics) {
    if (shape === 'flat' && isReserved(name)) continue;
    count++;
    if (!METRIC_NAME.test(name)) {
      const expected = 'expected 1 to 64 of A-Z a-z 0-9 . _ / -';
      return unusable('metric_name', `${at(index)}the metric name ${describe(name)}; ${expected}`);
    }
  }
  if (count === 0) return unusable('empty', `${at(index)}no metrics; expected at least one`);
  if (count <= maxMetrics) return undefined;
  return unusable('too_many_metrics', `${at(index)}${count} metrics; expected at most ${maxMetrics}`);
}

/**
 * The canonical JSON text of a flat message. Written name by name: an object built from a device's names would
 * take `__proto__` for its prototype.
 */
function flatToCanonical(message: JsonObject): string {
  const metrics: string[] = [];
  for (const name in message) {
    if (!isReserved(name)) metrics.push(`${JSON.stringify(name)}:${JSON.stringify(message[name])}`);
  }
  const ts = message.ts === undefined ? '' : `"ts":${JSON.stringify(message.ts)},`;
  const seq = message.seq === undefined ? '' : `"seq":${JSON.stringify(message.seq)},`;
  return `{${ts}${seq}"metrics":{${metrics.join(',')}}}`;
}

function canonicalText(write: () => string): DecodedPayload {
  try {
    return { kind: 'usable', canonical: Buffer.from(write()) };
  } catch {
    // `JSON.stringify` recurses, `JSON.parse` does not: a value nested ten thousand deep can only be read.
    return unusable(
      'not_json',
      'values nested too deeply to be written again; expected numbers and booleans',
    );
  }
}

function isReserved(name: string): boolean {
  return name === 'ts' || name === 'seq';
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function at(index: number | undefined): string {
  return index === undefined ? '' : `message ${index}: `;
}

const SHOWN_CHARACTERS = 80;

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, SHOWN_CHARACTERS));
  if (Array.isArray(value)) return 'an array';
  return isObject(value) ? 'an object' : String(value);
}

function unusable(reason: QuarantineReason, detail: string): UnusablePayload {
  return { kind: 'unusable', reason, detail };
}
