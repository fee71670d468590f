import type { EventLog, RecordBatch } from '../event-log.ts';

/** How long the suite waits for what a backend does in its own time. */
export const PATIENCE = { timeout: 45_000, interval: 20 };

export function value(i: number): Buffer {
  return Buffer.from(JSON.stringify({ i }));
}

export function numberOf(bytes: Buffer): number {
  return Number(/^\{"i":(\d+)\}$/.exec(bytes.toString('utf8'))?.[1]);
}

export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

export async function appendNumbers(
  log: EventLog,
  topic: string,
  partition: number,
  from: number,
  to: number,
) {
  await Promise.all(numbers(from, to).map((i) => log.append(topic, partition, 'device', value(i))));
}

export function endOf(batch: RecordBatch): bigint {
  return (batch.records.at(-1)?.offset ?? -1n) + 1n;
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
