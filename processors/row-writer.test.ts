import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { MetricStore } from '../metric-store/metric-store.ts';
import { aggregateOf } from '../metric-store/rows.fixture.ts';
import { createProcessorEvents } from './processor-events.ts';
import { RowWriter } from './row-writer.ts';

const ROW = {
  deviceId: 'd1',
  metric: 'm',
  resolutionMs: 10_000,
  windowStart: 0,
  pane: 0,
  aggregate: aggregateOf([1]),
};

/** A writer to a store of which only writing matters. */
function createWriter(write: MetricStore['write']) {
  const registry = new Registry();
  const events = createProcessorEvents(registry, pino({ level: 'silent' }));
  const store: MetricStore = {
    write,
    read: () => {
      throw new Error('not read');
    },
    series: async () => [],
    ping: async () => {},
    close: async () => {},
  };
  const writer = new RowWriter({ store, events, maxConcurrentWrites: 1, maxRowsPerWrite: 1 });
  return { writer, failing: () => events.failing() };
}

test('a write that the store does not answer is abandoned once its partition is given up', async () => {
  let calls = 0;
  const { writer, failing } = createWriter((_, signal) => {
    calls++;
    return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
  });
  const abort = new AbortController();
  const written = writer.write([ROW, ROW], abort.signal);
  setTimeout(() => abort.abort(new Error('revoked')), 10);
  await expect(written).rejects.toThrow();
  // The second had not begun, and giving up is no failure of the store.
  expect([calls, failing()]).toEqual([1, undefined]);
});

test('a write under way when its partition is given up counts when the store answers soon', async () => {
  const abort = new AbortController();
  const { writer } = createWriter(async () => {
    abort.abort(new Error('revoked'));
    await new Promise((resolve) => setTimeout(resolve, 200));
  });
  await writer.write([ROW], abort.signal);
});
