/** What `parseInstant` accepts, for messages. */
export const INSTANT_EXPECTED =
  'ms since the epoch or an ISO 8601 time with its zone such as 2026-01-31T12:00:00Z or 2026-01-31';

/** The largest time that a Date can hold, ms since the epoch. */
const MAX_INSTANT = 8.64e15;

const ISO = /^(\d{4}-\d{2}-\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

/**
 * Ms since the epoch of a time given as such, or in ISO 8601: a date (midnight UTC), or a date and time with a
 * zone. Undefined for anything else, a 30th of February included.
 */
export function parseInstant(text: string): number | undefined {
  if (/^\d{1,16}$/.test(text)) return Number(text) <= MAX_INSTANT ? Number(text) : undefined;
  const date = ISO.exec(text)?.[1];
  if (date === undefined || !isDate(date)) return undefined;
  const instant = Date.parse(text);
  return Number.isNaN(instant) ? undefined : instant;
}

/** Date.parse rolls a 30th of February over into March. */
function isDate(date: string): boolean {
  const midnight = Date.parse(date);
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(date);
}
