/** Embedded storage, or Kafka and InfluxDB. */
export type Engine = 'embedded' | 'scaled-out';

export interface Services {
  readonly kafka: string;
  readonly influxdb: string;
}

export interface Figure {
  readonly subject: string;
  readonly unit: string;
  readonly median: number;
  readonly values: readonly number[];
}

export interface Measured {
  readonly cpuMicrosPerMessage: number;
  readonly messagesPerSecond: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
