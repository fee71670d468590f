import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  EventLogClosedError,
  EventLogFullError,
  EventLogUnavailableError,
  RecordTooLargeError,
} from './errors.ts';
import {
  holdTime,
  openWith,
  outcomeOf,
  refused,
  resolved,
  Sink,
  settled,
  turns,
} from './group-commit.fixture.ts';
import type { AppendOutcome, GroupCommitOptions, PendingAppend } from './group-commit.ts';

type Answer = (batch: readonly PendingAppend[], sink: Sink) => readonly AppendOutcome[];

const storeAll: Answer = (batch, sink) => batch.map((append) => sink.store(append));
const refuseAll: Answer = () => {
  throw refused;
};
const storeOnly =
  (partition: number): Answer =>
  (batch, sink) =>
    batch.map((append) => (append.partition === partition ? sink.store(append) : refused));

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

/** Answers the calls of `commit` one after the other; the last answer stands for all later calls. */
function open(answers: readonly Answer[], options: Partial<GroupCommitOptions> = {}) {
  const sink = new Sink();
  let calls = 0;
  const commits = openWith(async (batch) => {
    sink.called(batch);
    const answer = answers[Math.min(calls++, answers.length - 1)] ?? storeAll;
    return answer(batch, sink);
  }, options);
  const append = (partition: number, key: string) =>
    commits.append('topic', partition, key, Buffer.alloc(10));
  return { sink, commits, append };
}

beforeEach(() => {
  holdTime();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('grouping', () => {
  test('appends of one turn share a commit, and what arrives meanwhile forms the next', async () => {
    const held = gate();
    const sink = new Sink();
    const gated = openWith(async (batch) => {
      sink.called(batch);
      if (sink.batches.length === 1) await held.opened;
      return batch.map((append) => sink.store(append));
    });
    const first = ['a', 'b'].map((key) => gated.append('topic', 0, key, Buffer.alloc(1)));
    await vi.waitFor(() => expect(sink.batches.length).toBe(1));
    const second = ['c', 'd', 'e'].map((key) => gated.append('topic', 0, key, Buffer.alloc(1)));
    held.open();
    expect(await resolved(Promise.all([...first, ...second]))).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect(sink.batches).toEqual([
      ['a', 'b'],
      ['c', 'd', 'e'],
    ]);
  });

  test('a commit is bounded in records and bytes, and a record larger than the bound goes alone', async () => {
    const { sink, commits } = open([storeAll], { maxBatchRecords: 3, maxBatchBytes: 1_000 });
    const sizes = [10, 10, 10, 10, 800, 5_000, 10];
    const appends = sizes.map((size, i) => commits.append('topic', 0, `${i}`, Buffer.alloc(size)));
    await resolved(Promise.all(appends));
    expect(sink.batches).toEqual([['0', '1', '2'], ['3', '4'], ['5'], ['6']]);
  });
});

describe('retries', () => {
  test('a failed commit is sent again before anything newer', async () => {
    const { sink, append } = open([refuseAll, refuseAll, storeAll]);
    const first = [append(0, 'a'), append(1, 'b')];
    await vi.waitFor(() => expect(sink.batches.length).toBe(1));
    const later = append(0, 'c');
    expect(await resolved(Promise.all([...first, later]))).toEqual([0n, 0n, 1n]);
    expect(sink.batches).toEqual([['a', 'b'], ['a', 'b'], ['a', 'b'], ['c']]);
  });

  test('after a partial failure only the failed records are sent again, and their partition keeps its order', async () => {
    const { sink, append } = open([storeOnly(1), storeAll]);
    const appends = [append(0, 'a'), append(1, 'b'), append(0, 'c')];
    await vi.waitFor(() => expect(sink.batches.length).toBe(1));
    appends.push(append(0, 'd'));
    expect(await resolved(Promise.all(appends))).toEqual([0n, 0n, 1n, 2n]);
    expect(sink.batches).toEqual([['a', 'b', 'c'], ['a', 'c'], ['d']]);
    expect(sink.of(0)).toEqual(['a', 'c', 'd']);
  });

  test('a partition that fails holds back its own records and no others', async () => {
    const { sink, append } = open([storeOnly(1)], { appendTimeoutMs: 3_000 });
    const failing = ['a', 'b'].map((key) => outcomeOf(append(0, key)));
    await turns();
    for (let i = 0; i < 20; i++) {
      failing.push(outcomeOf(append(0, `behind-${i}`)));
      void append(1, `${i}`);
      await turns();
    }
    // No time has passed: the failing partition has not been tried again.
    expect(sink.of(1).length).toBe(20);
    expect(sink.batches.slice(1)).toEqual(Array.from({ length: 20 }, (_, i) => [`${i}`]));
    for (const outcome of await resolved(Promise.all(failing))) {
      expect(outcome).toMatchObject({ reason: { code: 'EVENT_LOG_UNAVAILABLE', cause: refused } });
    }
  });

  test('a partition that recovers sends what waited behind its failed records, in order and before newer ones', async () => {
    const { sink, append } = open([storeOnly(1), storeOnly(1), storeAll]);
    const appends = [append(0, 'a'), append(1, 'b'), append(0, 'c')];
    await turns();
    appends.push(append(0, 'd'), append(1, 'e'));
    await turns();
    appends.push(append(0, 'f'));
    await resolved(Promise.all(appends));
    expect(sink.batches).toEqual([['a', 'b', 'c'], ['e'], ['a', 'c'], ['d', 'f']]);
  });

  test('a record without an outcome is sent again', async () => {
    const { sink, append } = open([() => [], storeAll]);
    expect(await resolved(append(0, 'a'))).toBe(0n);
    expect(sink.batches).toEqual([['a'], ['a']]);
  });

  test('a failure that is not retryable settles its record only', async () => {
    const large = new RecordTooLargeError('too large');
    const { sink, append } = open([
      (batch, into) => batch.map((each) => (each.key === 'b' ? large : into.store(each))),
    ]);
    const outcomes = await Promise.all(['a', 'b', 'c'].map((key) => settled(append(0, key))));
    expect(outcomes).toEqual([
      { status: 'fulfilled', value: 0n },
      { status: 'rejected', reason: large },
      { status: 'fulfilled', value: 1n },
    ]);
    expect(sink.batches).toEqual([['a', 'b', 'c']]);
  });

  test('the pauses between retries grow to a second', async () => {
    const times: number[] = [];
    const { append } = open(
      [
        () => {
          times.push(performance.now());
          throw refused;
        },
      ],
      { appendTimeoutMs: 6_000 },
    );
    await settled(append(0, 'a'));
    const pauses = times.slice(1).map((time, i) => Math.round((time - (times[i] ?? 0)) / 10) * 10);
    expect(pauses.slice(0, 8)).toEqual([20, 40, 80, 160, 320, 640, 1_000, 1_000]);
  });
});

describe('deadlines and bounds', () => {
  test('an append that does not become durable is rejected at its deadline with the reason, and its memory is free', async () => {
    const { commits, append } = open([refuseAll], { appendTimeoutMs: 1_000 });
    const started = performance.now();
    const outcome = await settled(append(0, 'a'));
    expect(outcome).toMatchObject({
      status: 'rejected',
      reason: { code: 'EVENT_LOG_UNAVAILABLE', retryable: true, cause: refused },
    });
    expect(performance.now() - started).toBeGreaterThanOrEqual(1_000);
    expect(performance.now() - started).toBeLessThan(1_600);
    expect(commits.pendingBytes).toBe(0);
  });

  test('what waits behind a failed record is given up at its own deadline, and a newer record is still tried', async () => {
    const { sink, commits, append } = open([refuseAll], { appendTimeoutMs: 1_000 });
    const first = outcomeOf(append(0, 'a'));
    await turns();
    await vi.advanceTimersByTimeAsync(500);
    const started = performance.now();
    const behind = settled(append(0, 'b'));
    expect(await behind).toMatchObject({ reason: { cause: refused } });
    expect(performance.now() - started).toBeGreaterThanOrEqual(1_000);
    expect(performance.now() - started).toBeLessThan(1_600);
    expect(await first).toMatchObject({ status: 'rejected' });
    expect(sink.batches).toContainEqual(['b']);
    expect(commits.pendingBytes).toBe(0);
  });

  test('a commit that hangs does not keep its appends, nor those behind it, beyond their deadlines', async () => {
    const held = gate();
    const commits = openWith(
      async (batch) => {
        await held.opened;
        return batch.map(() => 7n);
      },
      { maxBatchRecords: 1, appendTimeoutMs: 1_000 },
    );
    const appends = ['a', 'b'].map((key) => settled(commits.append('topic', 0, key, Buffer.alloc(1))));
    for (const outcome of await Promise.all(appends)) {
      expect(outcome).toMatchObject({ reason: expect.any(EventLogUnavailableError) });
    }
    held.open();
    await resolved(commits.close());
  });

  test('appends beyond the bound on pending bytes are refused at once, and accepted again afterwards', async () => {
    const { commits, append } = open([storeAll], { maxPendingBytes: 200 });
    const first = [append(0, 'a'), append(0, 'b')];
    await expect(append(0, 'c')).rejects.toThrow(EventLogFullError);
    await resolved(Promise.all(first));
    expect(commits.pendingBytes).toBe(0);
    expect(await resolved(append(0, 'd'))).toBe(2n);
  });
});

describe('close', () => {
  test('nothing that keeps a process awake is left when all appends are settled', async () => {
    const { append } = open([refuseAll, storeAll]);
    await resolved(append(0, 'a'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(vi.getTimerCount()).toBe(0);
  });

  test('close waits for what is pending, through retries, and refuses what comes after', async () => {
    const { sink, commits, append } = open([refuseAll, refuseAll, storeAll]);
    const pending = append(0, 'a');
    const closed = commits.close();
    await expect(append(0, 'b')).rejects.toThrow(EventLogClosedError);
    await resolved(closed);
    expect(sink.of(0)).toEqual(['a']);
    await expect(pending).resolves.toBe(0n);
  });

  test('close ends when what is pending has missed its deadline', async () => {
    const { commits, append } = open([refuseAll], { appendTimeoutMs: 500 });
    const pending = settled(append(0, 'a'));
    await resolved(commits.close());
    expect(await pending).toMatchObject({ reason: expect.any(EventLogUnavailableError) });
  });
});
