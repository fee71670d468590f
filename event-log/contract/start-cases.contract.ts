import { expect, vi } from 'vitest';
import { OffsetBeyondEndError, RecordsExpiredError, UnknownTopicError } from '../errors.ts';
import type { EventLog, RecordBatch } from '../event-log.ts';
import type { Bench } from './bench.contract.ts';
import type { Hold } from './cases.contract.ts';
import { appendNumbers, endOf, numberOf, numbers, PATIENCE, value } from './numbers.contract.ts';

const commitOf = (batch: RecordBatch) => ({ offset: endOf(batch), metadata: '' });

export function offsetCases(hold: Hold): void {
  hold('offsetsAt', async (bench) => {
    const log = await bench.open();
    const empty = { earliest: 0n, end: 0n, atLogTime: 0n };
    expect(await log.offsets(bench.topic, 0)).toEqual([empty, empty, empty]);
    // Some share a log time, and some do not.
    for (let i = 0; i < 60; i += 3) {
      await appendNumbers(log, bench.topic, 1, i, i + 3);
      if (i % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 4));
    }
    const reading = await bench.read(log);
    await reading.until(60);
    const records = reading.of(1);
    const times = [...new Set(records.map(({ logTime }) => logTime))];
    expect(times.length).toBeGreaterThan(5);
    for (const time of times.flatMap((each) => [each - 1, each - 0.5, each, each + 1])) {
      const atLogTime = records.find(({ logTime }) => logTime >= time)?.offset ?? 60n;
      expect((await log.offsets(bench.topic, time))[1]).toEqual({ earliest: 0n, end: 60n, atLogTime });
    }
    for (const [time, atLogTime] of [
      [-5, 0n],
      [0, 0n],
      [Date.now() + 3_600_000, 60n],
      [Infinity, 60n],
    ] as const) {
      const partition = { earliest: 0n, end: 60n, atLogTime };
      expect(await log.offsets(bench.topic, time)).toEqual([empty, partition, empty]);
    }
    await expect(log.offsets('no-such-topic', 0)).rejects.toThrow(UnknownTopicError);
  });

  hold('offsetsExpired', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 1, 0, 10);
    await expire(bench, log);
    const expired = { earliest: 10n, end: 10n, atLogTime: 10n };
    for (const time of [0, Date.now() + 86_400_000]) {
      expect((await log.offsets(bench.topic, time))[1]).toEqual(expired);
    }
    expect(await log.append(bench.topic, 1, 'device', value(10))).toBe(10n);
    expect((await log.offsets(bench.topic, 0))[1]).toEqual({ earliest: 10n, end: 11n, atLogTime: 10n });
  });
}

export function startCases(hold: Hold): void {
  hold('start', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const first = await bench.read(log, {
      startAt: (partition) => (partition === 0 ? 7n : undefined),
      commitOf,
    });
    await first.until(3);
    await first.close();
    expect(first.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(7, 10));
    const second = await bench.read(log, {
      startAt: (_, committed) => (committed === undefined ? undefined : committed.offset - 8n),
    });
    await second.until(8);
    expect(second.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(2, 10));
  });

  hold('startOnce', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const first = await bench.read(log, { startAt: () => 4n, commitOf });
    await first.until(6);
    await first.close();
    await appendNumbers(log, bench.topic, 0, 10, 12);
    const second = await bench.read(log, { commitOf });
    await second.until(2);
    expect(second.of(0).map(({ value }) => numberOf(value))).toEqual([10, 11]);
  });

  hold('startRebalanced', async (bench) => {
    const log = await bench.open();
    const all = [0, 1, 2];
    for (const partition of all) await appendNumbers(log, bench.topic, partition, 0, 10);
    const chosen = new Set<number>();
    const first = await bench.read(log, {
      startAt: (partition) => {
        if (chosen.has(partition)) return undefined;
        chosen.add(partition);
        return 6n;
      },
      commitOf,
    });
    await first.until(12);
    for (let round = 0; round < 2; round++) {
      const before = first.count;
      const other = await bench.read(await bench.open(), { commitOf });
      await vi.waitFor(() => expect(other.owned.size).toBeGreaterThan(0), PATIENCE);
      await other.close();
      await vi.waitFor(() => expect(first.owned.size).toBe(3), PATIENCE);
      const next = 10 + round;
      for (const partition of all) await appendNumbers(log, bench.topic, partition, next, next + 1);
      await first.until(before + 3);
    }
    for (const partition of all) {
      expect(first.of(partition).map(({ value }) => numberOf(value))).toEqual(numbers(6, 12));
    }
  });

  hold('startExpired', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    await expire(bench, log);
    const reading = await bench.read(log, { startAt: (partition) => (partition === 0 ? 3n : undefined) });
    await log.append(bench.topic, 0, 'device', value(10));
    await reading.until(1);
    expect(reading.of(0).map(({ offset }) => offset)).toEqual([10n]);
    const reported = reading.errors.filter((error) => error instanceof RecordsExpiredError);
    expect(reported.map(({ message }) => message)).toEqual([
      expect.stringContaining(`offsets 3 to 9 of ${bench.topic}/0`),
    ]);
  });

  hold('startBeyond', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const reading = await bench.read(log, { startAt: (partition) => (partition === 0 ? 15n : undefined) });
    await vi.waitFor(() => {
      expect(reading.errors).toContainEqual(expect.any(OffsetBeyondEndError));
    }, PATIENCE);
    await appendNumbers(log, bench.topic, 0, 10, 13);
    await reading.until(3);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual([10, 11, 12]);
  });

  hold('ephemeral', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 5);
    for (let round = 0; round < 2; round++) {
      const reading = await bench.read(log, {
        isEphemeral: true,
        commitOf: (batch) => ({ offset: endOf(batch), metadata: 'gone' }),
      });
      await reading.until(5);
      await reading.close();
      expect(reading.assigned.get(0)).toBeUndefined();
    }
  });
}

async function expire(bench: Bench, log: EventLog): Promise<void> {
  await bench.storage.expire?.(bench.topic);
  await vi.waitFor(async () => {
    for (const { earliest, end } of await log.offsets(bench.topic, 0)) expect(earliest).toBe(end);
  }, PATIENCE);
}
