import { readFileSync } from 'node:fs';
import type { QuarantineReason } from '../event-log/quarantine-event.ts';

export interface UsablePayloadCase {
  readonly name: string;
  readonly payload: Buffer;
  readonly canonical: string;
}

export interface UnusablePayloadCase {
  readonly name: string;
  readonly payload: Buffer;
  readonly reason: QuarantineReason;
  /** Part of the detail. */
  readonly detail: string;
  readonly maxPayloadBytes: number;
}

type Repeat = readonly [before: string, unit: string, times: number, after: string];

interface WrittenCase {
  readonly name: string;
  readonly payload?: string;
  readonly hex?: string;
  readonly repeat?: Repeat;
  readonly repeatEnd?: Repeat;
  readonly canonical: string;
  readonly reason: QuarantineReason;
  readonly detail: string;
  readonly maxPayloadBytes?: number;
}

/** Bounds that the cases are written for. */
export const CASE_LIMITS = { maxPayloadBytes: 2_000, maxMetrics: 5 };

export const USABLE_PAYLOADS: readonly UsablePayloadCase[] = read('payloads');
export const UNUSABLE_PAYLOADS: readonly UnusablePayloadCase[] = read('unusable-payloads');

function read(file: string) {
  const written: WrittenCase[] = JSON.parse(
    readFileSync(new URL(`./fixtures/${file}.json`, import.meta.url), 'utf8'),
  );
  return written.map((entry) => ({
    ...entry,
    payload: payloadOf(entry),
    maxPayloadBytes: entry.maxPayloadBytes ?? CASE_LIMITS.maxPayloadBytes,
  }));
}

function payloadOf({ payload, hex, repeat, repeatEnd }: WrittenCase): Buffer {
  if (hex !== undefined) return Buffer.from(hex, 'hex');
  return Buffer.from(payload ?? expand(repeat) + expand(repeatEnd));
}

function expand(repeat: Repeat | undefined): string {
  if (repeat === undefined) return '';
  const [before, unit, times, after] = repeat;
  return before + unit.repeat(times) + after;
}
