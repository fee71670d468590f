/** A name for use in InfluxQL, in double quotes. */
export function quoteName(name: string): string {
  return `"${escapeQuoted(name).replaceAll('"', '\\"')}"`;
}

/** A string literal for use in InfluxQL, in single quotes. */
export function quoteText(text: string): string {
  return `'${escapeQuoted(text).replaceAll("'", "\\'")}'`;
}

function escapeQuoted(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

const UNITS_MS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** A whole number of ms as InfluxQL spells it, in the largest unit that divides it: "10s", "1m", "168h". */
export function formatDuration(durationMs: number): string {
  for (const [unit, unitMs] of Object.entries(UNITS_MS)) {
    if (durationMs % unitMs === 0) return `${durationMs / unitMs}${unit}`;
  }
  return `${durationMs}ms`;
}

/** The ms of a duration as InfluxDB reports it: "168h0m0s", "0s". NaN when it is none. */
export function parseDuration(text: string): number {
  if (!/^(\d+(h|ms|m|s))+$/.test(text)) return Number.NaN;
  let sum = 0;
  for (const [, digits, unit] of text.matchAll(/(\d+)(h|ms|m|s)/g)) {
    if (unit === 'h' || unit === 'm' || unit === 's' || unit === 'ms') sum += Number(digits) * UNITS_MS[unit];
  }
  return sum;
}
