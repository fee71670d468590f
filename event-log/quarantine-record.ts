import {
  decodeQuarantineEvent,
  type QuarantineEvent,
  UndecodableQuarantineEventError,
} from './quarantine-event.ts';

/** What a record of the quarantine topic holds. */
export type QuarantineRecord =
  | { readonly kind: 'event'; readonly event: QuarantineEvent }
  | { readonly kind: 'redriven'; readonly marker: RedriveMarker };

/** Says that an event was redriven. It stands behind that event, in the same partition. */
export interface RedriveMarker {
  /** Offset of the event. */
  readonly offset: bigint;
  /** When, ms since the epoch. */
  readonly at: number;
  /** The telemetry record that carries the event's messages. */
  readonly record: { readonly partition: number; readonly offset: bigint };
}

export function encodeRedriveMarker({ offset, at, record }: RedriveMarker): Buffer {
  const { partition } = record;
  const place = { partition, offset: record.offset.toString() };
  return Buffer.from(JSON.stringify({ v: 1, redriven: offset.toString(), at, record: place }));
}

/** Decodes a record's value. Throws `UndecodableQuarantineEventError` when it is neither, of a known version. */
export function decodeQuarantineRecord(value: Buffer): QuarantineRecord {
  const marker = markerIn(value);
  return marker === undefined
    ? { kind: 'event', event: decodeQuarantineEvent(value) }
    : { kind: 'redriven', marker };
}

/** Undefined for everything that does not claim to be a marker. */
function markerIn(value: Buffer): RedriveMarker | undefined {
  const content = parse(value);
  if (content?.redriven === undefined) return undefined;
  const { v, redriven, at, record } = content;
  if (v !== 1) throw new UndecodableQuarantineEventError(`unknown marker version ${JSON.stringify(v)}`);
  if (!isDecimal(redriven)) throw new UndecodableQuarantineEventError('"redriven" is not an offset');
  if (!isCount(at)) throw new UndecodableQuarantineEventError('"at" is not a time in ms');
  if (!isObject(record) || !isCount(record.partition) || !isDecimal(record.offset)) {
    throw new UndecodableQuarantineEventError('"record" is not the position of a record');
  }
  const { partition, offset } = record;
  return { offset: BigInt(redriven), at, record: { partition, offset: BigInt(offset) } };
}

function parse(value: Buffer): Record<string, unknown> | undefined {
  try {
    const content: unknown = JSON.parse(value.toString('utf8'));
    return isObject(content) ? content : undefined;
  } catch {
    return undefined;
  }
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
