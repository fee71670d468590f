import { randomBytes } from 'node:crypto';
import { expect, vi } from 'vitest';
import { EventLogUnavailableError, RecordTooLargeError, UnknownPartitionError } from '../errors.ts';
import type { Hold } from './cases.contract.ts';
import { appendNumbers, numberOf, numbers, PATIENCE, value } from './numbers.contract.ts';

const MEBIBYTE = 1024 * 1024;

export function checkpointCases(hold: Hold): void {
  hold('checkpoints', async (bench) => {
    const log = await bench.open();
    expect(await log.loadCheckpoints(bench.group, 0)).toEqual([]);
    for (let i = 0; i < 9; i++) await log.saveCheckpoint(bench.group, 0, Buffer.alloc(300_000, i));
    await log.saveCheckpoint(bench.group, 1, Buffer.from('of another partition'));
    await log.saveCheckpoint(`${bench.group}-other`, 0, Buffer.from('of another group'));
    await log.close();

    const reopened = await bench.open();
    const newest = await reopened.loadCheckpoints(bench.group, 0);
    expect(newest.map((bytes) => [bytes.length, bytes[0], bytes.at(-1)])).toEqual([
      [300_000, 8, 8],
      [300_000, 7, 7],
    ]);
    expect(String((await reopened.loadCheckpoints(bench.group, 1))[0])).toBe('of another partition');
    expect(String((await reopened.loadCheckpoints(`${bench.group}-other`, 0))[0])).toBe('of another group');
    await reopened.saveCheckpoint(bench.group, 0, Buffer.from('after'));
    expect(String((await reopened.loadCheckpoints(bench.group, 0))[0])).toBe('after');
  });

  hold('checkpointLarge', async (bench) => {
    const log = await bench.open();
    const large = [0, 1].map(() => randomBytes(10 * MEBIBYTE));
    let longestMs = 0;
    let stopped = false;
    const appending = (async () => {
      while (!stopped) {
        const started = performance.now();
        await log.append(bench.topic, 0, 'device', value(0));
        longestMs = Math.max(longestMs, performance.now() - started);
      }
    })();
    for (const checkpoint of large) await log.saveCheckpoint(bench.group, 2, checkpoint);
    const loaded = await log.loadCheckpoints(bench.group, 2);
    stopped = true;
    await appending;
    expect(longestMs).toBeLessThan(3_000);
    expect(loaded.map((bytes, i) => bytes.equals(large[1 - i] ?? Buffer.alloc(0)))).toEqual([true, true]);
  });

  hold('checkpointTooLarge', async (bench) => {
    const log = await bench.open();
    const tooLarge = Buffer.alloc(32 * MEBIBYTE + 1);
    await expect(log.saveCheckpoint(bench.group, 0, tooLarge)).rejects.toThrow(RecordTooLargeError);
    await log.saveCheckpoint(bench.group, 0, tooLarge.subarray(1));
    expect((await log.loadCheckpoints(bench.group, 0)).map(({ length }) => length)).toEqual([32 * MEBIBYTE]);
    for (const partition of [-1, 0.5, 100_000]) {
      await expect(log.saveCheckpoint(bench.group, partition, Buffer.alloc(1))).rejects.toThrow(
        UnknownPartitionError,
      );
      await expect(log.loadCheckpoints(bench.group, partition)).rejects.toThrow(UnknownPartitionError);
    }
  });

  hold('checkpointOnAssignment', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    await log.saveCheckpoint(bench.group, 0, Buffer.from('6'));
    const reading = await bench.read(log, {
      startAt: async (partition) => {
        const [newest] = await log.loadCheckpoints(bench.group, partition);
        return newest === undefined ? undefined : BigInt(newest.toString());
      },
    });
    await reading.until(4);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(6, 10));
  });

  hold('checkpointUnavailable', async (bench) => {
    const log = await bench.open({ appendTimeoutMs: 1_000 });
    await log.saveCheckpoint(bench.group, 0, Buffer.from('before'));
    await bench.storage.makeUnavailable?.();
    const started = performance.now();
    const [saving, loading] = await Promise.allSettled([
      log.saveCheckpoint(bench.group, 0, Buffer.from('meanwhile')),
      log.loadCheckpoints(bench.group, 0),
    ]);
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(saving).toMatchObject({ reason: expect.any(EventLogUnavailableError) });
    // What needs no writing may go on.
    if (loading.status === 'rejected') expect(loading.reason).toBeInstanceOf(EventLogUnavailableError);
    await bench.storage.makeAvailable?.();
    await vi.waitFor(() => log.saveCheckpoint(bench.group, 0, Buffer.from('after')), PATIENCE);
    expect(String((await log.loadCheckpoints(bench.group, 0))[0])).toBe('after');
  });

  hold('checkpointsOfOthers', async (bench) => {
    const [one, other, observer] = await Promise.all([bench.open(), bench.open(), bench.open()]);
    const saved: string[] = [];
    for (const [turn, log] of [one, other, other, one, other, one, one].entries()) {
      // Whoever saves owns the partition.
      const reading = await bench.read(log);
      await vi.waitFor(() => expect(reading.owned.has(0)).toBe(true), PATIENCE);
      await log.saveCheckpoint(bench.group, 0, Buffer.from(`${turn}`));
      saved.unshift(`${turn}`);
      const kept = await observer.loadCheckpoints(bench.group, 0);
      expect(kept.map(String)).toEqual(saved.slice(0, 2));
      await reading.close();
    }
  });
}
