import { expect } from 'vitest';
import { RecordTooLargeError, UnknownPartitionError, UnknownTopicError } from '../errors.ts';
import { RECORD_BYTES } from './bench.contract.ts';
import type { Hold } from './cases.contract.ts';
import { numberOf, value } from './numbers.contract.ts';

export function appendCases(hold: Hold): void {
  hold('partitions', async (bench) => {
    const log = await bench.open();
    expect(log.partitions(bench.topic)).toBe(3);
    expect(() => log.partitions('no-such-topic')).toThrow(UnknownTopicError);
  });

  hold('offsets', async (bench) => {
    const log = await bench.open();
    const offsets: bigint[] = [];
    for (let i = 0; i < 5; i++) offsets.push(await log.append(bench.topic, 1, 'device', value(i)));
    expect(offsets).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect(await log.append(bench.topic, 2, 'device', value(0))).toBe(0n);
    const together = await Promise.all([5, 6, 7].map((i) => log.append(bench.topic, 1, 'device', value(i))));
    expect(together).toEqual([5n, 6n, 7n]);
  });

  hold('content', async (bench) => {
    const log = await bench.open();
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const sent = [
      { key: 'dëvice-é-☃', value: everyByte },
      { key: 'empty', value: Buffer.alloc(0) },
      { key: 'large', value: Buffer.alloc(RECORD_BYTES / 2, 7) },
    ];
    for (const record of sent) await log.append(bench.topic, 0, record.key, record.value);
    const reading = await bench.read(log);
    await reading.until(sent.length);
    expect(reading.of(0).map(({ key, value }) => ({ key, value }))).toEqual(sent);
  });

  hold('order', async (bench) => {
    const log = await bench.open();
    const appended = await Promise.all(
      Array.from({ length: 6_000 }, (_, i) => log.append(bench.topic, i % 3, `device-${i % 7}`, value(i))),
    );
    const reading = await bench.read(log);
    await reading.until(6_000);
    for (const partition of [0, 1, 2]) {
      const records = reading.of(partition);
      expect(records.map(({ value }) => numberOf(value))).toEqual(
        Array.from({ length: 2_000 }, (_, i) => i * 3 + partition),
      );
      expect(records.map(({ offset }) => offset)).toEqual(appended.filter((_, i) => i % 3 === partition));
    }
  });

  hold('logTime', async (bench) => {
    const log = await bench.open();
    const before = Date.now();
    for (let i = 0; i < 20; i++) await log.append(bench.topic, 0, 'device', value(i));
    const after = Date.now();
    const reading = await bench.read(log);
    await reading.until(20);
    const times = reading.of(0).map(({ logTime }) => logTime);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    // A broker on another machine has another clock: a second of difference is not a fault of the log.
    expect(times[0]).toBeGreaterThanOrEqual(before - 1_000);
    expect(times.at(-1)).toBeLessThanOrEqual(after + 1_000);
  });
}

export function refusalCases(hold: Hold): void {
  hold('unknownTopic', async (bench) => {
    const log = await bench.open();
    const appended = log.append('no-such-topic', 0, 'device', value(0));
    await expect(appended).rejects.toThrow(UnknownTopicError);
    await expect(appended).rejects.toThrow(/no-such-topic/);
  });

  hold('unknownPartition', async (bench) => {
    const log = await bench.open();
    for (const partition of [3, -1, 0.5]) {
      await expect(log.append(bench.topic, partition, 'device', value(0))).rejects.toThrow(
        UnknownPartitionError,
      );
    }
  });

  hold('tooLarge', async (bench) => {
    const log = await bench.open();
    const [first, large, last] = await Promise.allSettled([
      log.append(bench.topic, 0, 'device', value(1)),
      log.append(bench.topic, 0, 'device', Buffer.alloc(RECORD_BYTES + 1)),
      log.append(bench.topic, 0, 'device', value(2)),
    ]);
    expect(first).toEqual({ status: 'fulfilled', value: 0n });
    expect(last).toEqual({ status: 'fulfilled', value: 1n });
    expect(large).toMatchObject({ status: 'rejected', reason: expect.any(RecordTooLargeError) });
  });
}
