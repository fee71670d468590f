import { expect, vi } from 'vitest';
import type { RecordBatch } from '../event-log.ts';
import type { Hold } from './cases.contract.ts';
import { aborted, appendNumbers, endOf, numberOf, numbers, PATIENCE } from './numbers.contract.ts';

export function groupCases(hold: Hold): void {
  hold('sharing', async (bench) => {
    const log = await bench.open();
    const commitOf = (batch: RecordBatch) => ({ offset: endOf(batch), metadata: '' });
    const first = await bench.read(log, { commitOf });
    await vi.waitFor(() => expect(first.owned.size).toBe(3), PATIENCE);
    const other = await bench.open();
    const second = await bench.read(other, { commitOf });
    await vi.waitFor(() => {
      expect(second.owned.size).toBeGreaterThan(0);
      expect([...first.owned, ...second.owned].toSorted()).toEqual([0, 1, 2]);
    }, PATIENCE);

    for (const partition of [0, 1, 2]) await appendNumbers(log, bench.topic, partition, 0, 10);
    await vi.waitFor(() => expect(first.count + second.count).toBeGreaterThanOrEqual(30), PATIENCE);
    expect(first.count).toBeGreaterThan(0);
    expect(second.count).toBeGreaterThan(0);

    await first.close();
    for (const partition of [0, 1, 2]) await appendNumbers(log, bench.topic, partition, 10, 20);
    await vi.waitFor(() => expect([...second.owned].toSorted()).toEqual([0, 1, 2]), PATIENCE);
    for (const partition of [0, 1, 2]) {
      await vi.waitFor(() => {
        const seen = [...first.of(partition), ...second.of(partition)].map(({ value }) => numberOf(value));
        expect([...new Set(seen)].toSorted((a, b) => a - b)).toEqual(numbers(0, 20));
      }, PATIENCE);
    }
  });

  hold('lost', async (bench) => {
    const log = await bench.open();
    for (const partition of [0, 1, 2]) await appendNumbers(log, bench.topic, partition, 0, 3);
    let held = 0;
    const first = await bench.read(log, {
      before: async ({ signal }) => {
        held++;
        await aborted(signal);
      },
      commitOf: (batch) => ({ offset: endOf(batch), metadata: 'stale' }),
    });
    await vi.waitFor(() => expect(held).toBeGreaterThan(0), PATIENCE);
    const other = await bench.open();
    const second = await bench.read(other);
    await vi.waitFor(() => expect(second.owned.size).toBeGreaterThan(0), PATIENCE);
    for (const partition of second.owned) expect(second.assigned.get(partition)).toBeUndefined();
    expect(first.errors.filter((error) => error instanceof TypeError)).toEqual([]);
  });
}
