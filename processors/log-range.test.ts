import { describe, expect, test } from 'vitest';
import type { EventLog } from '../event-log/event-log.ts';
import { partitionOf } from '../event-log/partition.ts';
import { expiredRanges, type LogRangeOptions, type PartitionRange, readLogRange } from './log-range.ts';
import { PARTITIONS, RecordedRun, TOPICS } from './recorded-run.fixture.ts';

async function runWith(records: number): Promise<RecordedRun> {
  const run = await RecordedRun.open();
  for (let n = 0; n < records; n++) await run.tick(1_000);
  return run;
}

function allOf(to: bigint): PartitionRange[] {
  return Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, from: 0n, to }));
}

function read(run: RecordedRun, options: Partial<LogRangeOptions>): Promise<void> {
  return readLogRange({
    log: run.log,
    topic: TOPICS.telemetry,
    purpose: 'test',
    ranges: [],
    onRecords: () => {},
    onFailure: (error) => expect.unreachable(error.message),
    signal: new AbortController().signal,
    ...options,
  });
}

/** The same log, but for how it is consumed. */
function withConsume(log: EventLog, consume: EventLog['consume']): EventLog {
  return {
    consume,
    partitions: (topic) => log.partitions(topic),
    append: (...record) => log.append(...record),
    offsets: (topic, logTime) => log.offsets(topic, logTime),
    saveCheckpoint: (...checkpoint) => log.saveCheckpoint(...checkpoint),
    loadCheckpoints: (group, partition) => log.loadCheckpoints(group, partition),
    ping: () => log.ping(),
    close: () => log.close(),
  };
}

describe('reading a range', () => {
  test('visits exactly its records, in order, in every partition of it', async () => {
    const run = await runWith(20);
    const seen: string[] = [];
    const ranges = [{ partition: 1, from: 3n, to: 7n }];
    await read(run, {
      ranges,
      onRecords: (partition, records) => {
        for (const { offset } of records) seen.push(`${partition}/${offset}`);
      },
    });
    expect(seen).toEqual(['1/3', '1/4', '1/5', '1/6']);
  });

  test('that is empty needs no consumer', async () => {
    const run = await runWith(1);
    await read(run, { ranges: [{ partition: 0, from: 1n, to: 1n }] });
    await run.log.close();
    await read(run, { ranges: [] });
  });

  test('does not meet itself: two at once both end', async () => {
    const run = await runWith(5);
    await Promise.all([read(run, { ranges: allOf(5n) }), read(run, { ranges: allOf(5n) })]);
  });

  test('ends with what handling rejects with', async () => {
    const run = await runWith(5);
    const reason = new Error('unusable');
    const onRecords = () => Promise.reject(reason);
    await expect(read(run, { ranges: allOf(5n), onRecords })).rejects.toBe(reason);
  });

  test("ends with the signal's reason, while a handler waits too", async () => {
    const run = await runWith(5);
    const stop = new AbortController();
    const reason = new Error('stopped');
    const onRecords: LogRangeOptions['onRecords'] = (_, __, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        stop.abort(reason);
      });
    await expect(read(run, { ranges: allOf(5n), onRecords, signal: stop.signal })).rejects.toBe(reason);
    await expect(read(run, { ranges: allOf(5n), signal: stop.signal })).rejects.toBe(reason);
  });

  test('goes on when a partition is lost for a while, with the records that were not handled', async () => {
    const run = await runWith(5);
    let deliveries = 0;
    const lost = AbortSignal.abort(new Error('lost'));
    const log = withConsume(run.log, (options) =>
      run.log.consume({
        ...options,
        onBatch: (batch) => options.onBatch(deliveries++ > 0 ? batch : { ...batch, signal: lost }),
      }),
    );
    const seen: bigint[] = [];
    const onRecords: LogRangeOptions['onRecords'] = (_, records, signal) => {
      signal.throwIfAborted();
      for (const { offset } of records) seen.push(offset);
    };
    const ranges = [{ partition: 0, from: 0n, to: 5n }];
    await read(run, { log, ranges, onRecords, onFailure: () => {} });
    expect(seen).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect(deliveries).toBe(2);
  });

  test('ends when the log does not deliver what it should', async () => {
    const run = await runWith(5);
    await expect(read(run, { ranges: allOf(6n), stallTimeoutMs: 300 })).rejects.toMatchObject({
      code: 'PROCESSOR_LOG_RANGE_STALLED',
      message: expect.stringContaining('partition 0 at 5'),
    });
  });

  test('waits for a slow handler, however long it takes', async () => {
    const run = await runWith(2);
    const onRecords = () => new Promise<void>((resolve) => setTimeout(resolve, 900));
    await read(run, { ranges: allOf(2n), onRecords, stallTimeoutMs: 300 });
  });
});

describe('records of a time have expired', () => {
  const offsets = (earliest: bigint, atLogTime: bigint) => [{ earliest, atLogTime, end: 9n }];
  test.each([
    ['where the oldest kept record is younger', offsets(3n, 3n), 1_000, [{ partition: 0, earliest: 3n }]],
    ['not where an older one is kept', offsets(3n, 4n), 1_000, []],
    ['not where none was ever deleted', offsets(0n, 0n), 1_000, []],
    ['not where retention cannot have reached them', offsets(3n, 3n), 5_000, []],
  ])('%s', (_, each, logTime, expected) => {
    expect(expiredRanges(each, logTime, 6_000, 10_000)).toEqual(expected);
  });
});

test('devices of the fixture are in both partitions', () => {
  expect(new Set(['counting-a', 'counting-c'].map((id) => partitionOf(id, PARTITIONS))).size).toBe(2);
});
