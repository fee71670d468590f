import { expect, vi } from 'vitest';
import { EventLogClosedError } from '../errors.ts';
import type { Hold } from './cases.contract.ts';
import { appendNumbers, endOf, numberOf, numbers, PATIENCE, value } from './numbers.contract.ts';

export function lifeCycleCases(hold: Hold): void {
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
