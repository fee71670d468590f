import { expect, vi } from 'vitest';
import { EventLogClosedError } from '../errors.ts';
import type { Hold } from './cases.contract.ts';
import { appendNumbers, endOf, numberOf, numbers, PATIENCE, value } from './numbers.contract.ts';

export function lifeCycleCases(hold: Hold): void {
  hold('checkpoints', async (bench) => {
    const log = await bench.open();
    expect(await log.loadCheckpoints(bench.group, 0)).toEqual([]);
    for (let i = 0; i < 4; i++) await log.saveCheckpoint(bench.group, 0, Buffer.alloc(300_000, i));
    await log.saveCheckpoint(bench.group, 1, Buffer.from('of another partition'));
    await log.saveCheckpoint(`${bench.group}-other`, 0, Buffer.from('of another group'));
    await log.close();

    const reopened = await bench.open();
    const newest = (await reopened.loadCheckpoints(bench.group, 0)).slice(0, 2);
    expect(newest.map((bytes) => [bytes.length, bytes[0], bytes.at(-1)])).toEqual([
      [300_000, 3, 3],
      [300_000, 2, 2],
    ]);
    expect(String((await reopened.loadCheckpoints(bench.group, 1))[0])).toBe('of another partition');
    expect(String((await reopened.loadCheckpoints(`${bench.group}-other`, 0))[0])).toBe('of another group');
    await reopened.saveCheckpoint(bench.group, 0, Buffer.from('after'));
    expect(String((await reopened.loadCheckpoints(bench.group, 0))[0])).toBe('after');
  });

  hold('closed', async (bench) => {
    const log = await bench.open();
    await log.close();
    await expect(log.append(bench.topic, 0, 'device', value(0))).rejects.toThrow(EventLogClosedError);
  });

  hold('draining', async (bench) => {
    const log = await bench.open();
    const appended = numbers(0, 500).map((i) => log.append(bench.topic, 0, 'device', value(i)));
    await log.close();
    expect(await Promise.all(appended)).toEqual(numbers(0, 500).map(BigInt));
    const reading = await bench.read(await bench.open());
    await reading.until(500);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 500));
  });

  hold('closeTwice', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 3);
    const reading = await bench.read(log, {
      commitOf: (batch) => ({ offset: endOf(batch), metadata: 'kept' }),
    });
    await reading.until(3);
    await Promise.all([log.close(), log.close()]);
    await reading.close();
    const again = await bench.read(await bench.open());
    await vi.waitFor(() => expect(again.assigned.get(0)).toEqual({ offset: 3n, metadata: 'kept' }), PATIENCE);
  });
}
