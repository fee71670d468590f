import { expect, vi } from 'vitest';
import type { RecordBatch } from '../event-log.ts';
import type { Hold } from './cases.contract.ts';
import { aborted, appendNumbers, endOf, numberOf, numbers, PATIENCE, value } from './numbers.contract.ts';

export function positionCases(hold: Hold): void {
  hold('endOffset', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const reading = await bench.read(log);
    await reading.until(10);
    expect(reading.batches.at(-1)?.endOffset).toBe(10n);
  });

  hold('durable', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 100);
    await log.close();
    const reopened = await bench.open();
    expect(await reopened.append(bench.topic, 0, 'device', value(100))).toBe(100n);
    const reading = await bench.read(reopened);
    await reading.until(101);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 101));
  });

  hold('resume', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const first = await bench.read(log, {
      commitOf: (batch) => ({ offset: (batch.records[0]?.offset ?? 0n) + 4n, metadata: 'state of four' }),
    });
    await first.until(10);
    await first.close();
    expect(first.assigned.get(0)).toBeUndefined();
    await log.close();

    const reopened = await bench.open();
    const second = await bench.read(reopened);
    await second.until(6);
    expect(second.assigned.get(0)).toEqual({ offset: 4n, metadata: 'state of four' });
    expect(second.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(4, 10));
  });

  hold('noCommit', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const first = await bench.read(log);
    await first.until(10);
    await first.close();
    const second = await bench.read(log);
    await second.until(10);
    expect(second.assigned.get(0)).toBeUndefined();
    expect(second.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 10));
  });

  hold('groups', async (bench) => {
    const log = await bench.open();
    const commitOf = (batch: RecordBatch) => ({ offset: endOf(batch), metadata: '' });
    const first = await bench.read(log, { commitOf });
    const second = await bench.read(log, { group: `${bench.group}-other`, commitOf });
    await appendNumbers(log, bench.topic, 0, 0, 10);
    await first.until(10);
    await second.until(10);
    expect(second.of(0)).toEqual(first.of(0));
  });
}

export function deliveryCases(hold: Hold): void {
  hold('sequence', async (bench) => {
    const log = await bench.open();
    let running = 0;
    let most = 0;
    const reading = await bench.read(log, {
      before: async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running--;
      },
    });
    for (let i = 0; i < 30; i++) await log.append(bench.topic, 0, 'device', value(i));
    await reading.until(30);
    expect(most).toBe(1);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 30));
  });

  hold('rejection', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const attempts: bigint[][] = [];
    const reading = await bench.read(log, {
      before: async (batch) => {
        attempts.push(batch.records.map(({ offset }) => offset));
        if (attempts.length <= 2) throw new Error(`refused, attempt ${attempts.length}`);
      },
    });
    await reading.until(10);
    expect(attempts[1]).toEqual(attempts[0]);
    expect(attempts[2]).toEqual(attempts[0]);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 10));
    expect(reading.errors.map(({ message }) => message)).toEqual(
      expect.arrayContaining(['refused, attempt 1', 'refused, attempt 2']),
    );
  });

  hold('closing', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 3);
    let entered = false;
    const first = await bench.read(log, {
      before: async ({ signal }) => {
        entered = true;
        await aborted(signal);
      },
      commitOf: (batch) => ({ offset: endOf(batch), metadata: 'returned while closing' }),
    });
    await vi.waitFor(() => expect(entered).toBe(true), PATIENCE);
    await first.close();
    const handled = first.of(0).length;
    expect(handled).toBeGreaterThan(0);

    const second = await bench.read(log);
    await vi.waitFor(() => expect(second.assigned.has(0)).toBe(true), PATIENCE);
    expect(second.assigned.get(0)).toEqual({ offset: BigInt(handled), metadata: 'returned while closing' });
  });
}
