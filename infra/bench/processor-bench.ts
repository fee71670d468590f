import { setTimeout as delay } from 'node:timers/promises';
import type { Measured } from './figures.ts';
import { Subject } from './subject.ts';

export interface ProcessorBenchOptions {
  readonly config: unknown;
  readonly devices: number;
  readonly messagesPerDevice: number;
}

const VALUES_PER_MESSAGE = 4;
const DEADLINE_MS = 300_000;
const POLL_MS = 100;
/** No row for so many polls: every row is durable but those of windows that are open for hours. */
const QUIET_POLLS = 20;

/**
 * Folds a full log into the store until every row of a closed window is durable. Each device sent 1 Hz, so a row of a 10 s window holds
 * ten readings. CPU counts everything from start to the last row; the rate counts until the last reading is folded.
 */
export async function benchProcessor(options: ProcessorBenchOptions): Promise<Measured> {
  const messages = options.devices * options.messagesPerDevice;
  const fill = new Subject('fill', { ...options });
  await fill.next('result', DEADLINE_MS);
  const startedAt = performance.now();
  const subject = new Subject('subject-processor', { config: options.config });
  try {
    const { port } = await subject.next('ready');
    const url = `http://127.0.0.1:${port}/metrics`;
    const folded = (metrics: Metrics) => metrics.readings >= messages * VALUES_PER_MESSAGE;
    const foldedAt = await pollUntil(url, folded);
    let rows = Number.NaN;
    let unchanged = 0;
    await pollUntil(url, (metrics) => {
      unchanged = metrics.rows === rows ? unchanged + 1 : 0;
      rows = metrics.rows;
      return unchanged === QUIET_POLLS;
    });
    const cpuMicros = await subject.cpuMicros();
    return {
      cpuMicrosPerMessage: cpuMicros / messages,
      messagesPerSecond: (messages * 1_000) / (foldedAt - startedAt),
    };
  } finally {
    await subject.stop();
  }
}

interface Metrics {
  readonly readings: number;
  readonly rows: number;
}

/** Returns when the condition was first seen to hold, as `performance.now()`. */
async function pollUntil(url: string, holds: (metrics: Metrics) => boolean): Promise<number> {
  const deadline = performance.now() + DEADLINE_MS;
  while (performance.now() < deadline) {
    const text = await (await fetch(url, { signal: AbortSignal.timeout(5_000) })).text();
    if (
      holds({
        readings: sumOf(text, 'sluice_processor_readings_total'),
        rows: sumOf(text, 'sluice_processor_rows_total'),
      })
    ) {
      return performance.now();
    }
    await delay(POLL_MS);
  }
  throw new Error(`the processor did not finish within ${DEADLINE_MS} ms`);
}

/** Sum of a metric over its labels, from Prometheus text. */
function sumOf(text: string, name: string): number {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
