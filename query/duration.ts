/** A text that is not a duration. */
export class DurationError extends Error {
  readonly code = 'DURATION_MALFORMED';
  readonly retryable = false;
  override readonly name = 'DurationError';
}

/** What `parseDuration` accepts, for messages. */
export const DURATION_EXPECTED = 'a duration such as 500ms, 10s, 1m, 1h30m or 7d';

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

const PATTERN = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;

/**
 * Milliseconds of a duration: whole numbers with the units d, h, m, s, ms, largest first and each at most once
 * (`1h30m`). Throws `DurationError` for anything else, for zero, and beyond `Number.MAX_SAFE_INTEGER`.
 */
export function parseDuration(text: string): number {
  const match = PATTERN.exec(text);
  const ms =
    match === null ? 0 : UNITS.reduce((sum, [, size], i) => sum + Number(match[i + 1] ?? 0) * size, 0);
  if (ms <= 0 || !Number.isSafeInteger(ms)) {
    throw new DurationError(`${JSON.stringify(text)} is not ${DURATION_EXPECTED}`);
  }
  return ms;
}

/** The shortest text that `parseDuration` reads as this many ms, a positive whole number. */
export function formatDuration(ms: number): string {
  if (!Number.isSafeInteger(ms) || ms <= 0)
    throw new DurationError(`${ms} is not a positive whole number of ms`);
  let rest = ms;
  let text = '';
  for (const [unit, size] of UNITS) {
    const amount = Math.floor(rest / size);
    if (amount > 0) text += `${amount}${unit}`;
    rest %= size;
  }
  return text;
}
