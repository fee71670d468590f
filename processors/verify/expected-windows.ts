import type { DeviceMessages, SeriesReadings } from './device-messages.ts';

/** A reading that counts. */
export interface CountedReading {
  /** Event time, ms since the epoch. */
  readonly timestamp: number;
  readonly value: number;
  /** As in `DeviceMessages`. */
  readonly settled: number;
}

/** What a window of a series has to hold, computed from all its readings at once. */
export interface ExpectedWindow {
  readonly windowStart: number;
  /** The watermark at which the last of its panes closes, ms since the epoch. */
  readonly closesAt: number;
  readonly count: number;
  readonly sum: number;
  readonly sumOfMagnitudes: number;
  readonly min: number;
  readonly max: number;
  readonly first: number;
  readonly firstAt: number;
  readonly last: number;
  readonly lastAt: number;
  /** Sum of squared deviations from the mean. */
  readonly m2: number;
  /** All values, ascending. */
  readonly values: readonly number[];
}

/** The readings of a series that are no repetitions, by event time, equal ones by value. */
export function readingsByTime(
  { values, messages }: SeriesReadings,
  { timestamps, settled }: DeviceMessages,
  isRepetition: readonly boolean[],
): CountedReading[] {
  const readings: CountedReading[] = [];
  for (const [index, value] of values.entries()) {
    const message = messages[index] ?? -1;
    const timestamp = timestamps[message];
    if (timestamp === undefined || isRepetition[message] === true) continue;
    readings.push({ timestamp, value, settled: settled[message] ?? timestamp });
  }
  return readings.sort((a, b) => a.timestamp - b.timestamp || a.value - b.value);
}

/** Sorts readings, which are in order of time, into windows of a size (ms), and aggregates each in the plainest way. */
export function expectedWindows(
  readings: readonly CountedReading[],
  sizeMs: number,
): Map<number, ExpectedWindow> {
  const windows = new Map<number, CountedReading[]>();
  for (const reading of readings) {
    const start = Math.floor(reading.timestamp / sizeMs) * sizeMs;
    const members = windows.get(start);
    if (members === undefined) windows.set(start, [reading]);
    else members.push(reading);
  }
  return new Map([...windows].map(([start, members]) => [start, aggregateOf(start, members, sizeMs)]));
}

function aggregateOf(windowStart: number, byTime: readonly CountedReading[], sizeMs: number): ExpectedWindow {
  const values = byTime.map(({ value }) => value);
  const sum = values.reduce((total, value) => total + value, 0);
  const mean = sum / values.length;
  const ascending = Float64Array.from(values).sort();
  const lastSettled = byTime.reduce((latest, { settled }) => Math.max(latest, settled), 0);
  return {
    windowStart,
    closesAt: (Math.floor(lastSettled / sizeMs) + 1) * sizeMs,
    count: values.length,
    sum,
    sumOfMagnitudes: values.reduce((total, value) => total + Math.abs(value), 0),
    min: ascending[0] ?? Number.NaN,
    max: ascending.at(-1) ?? Number.NaN,
    first: values[0] ?? Number.NaN,
    firstAt: byTime[0]?.timestamp ?? Number.NaN,
    last: values.at(-1) ?? Number.NaN,
    lastAt: byTime.at(-1)?.timestamp ?? Number.NaN,
    m2: values.reduce((total, value) => total + (value - mean) ** 2, 0),
    values: [...ascending],
  };
}
