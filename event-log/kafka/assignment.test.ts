import { expect, test, vi } from 'vitest';
import type { Commit } from '../event-log.ts';
import { Assignment, OwnedPartition, type OwnershipCallbacks } from './assignment.ts';

test('a partition is announced with its commit before its first batch', async () => {
  const { owned, events } = ownPartition();
  await owned.run(async () => void events.push('batch'));
  expect(events).toEqual(['assigned 7', 'batch']);
});

test('a revoked partition aborts its handler, waits for it, and only then is reported', async () => {
  const { owned, events } = ownPartition();
  const handling = owned.run(async () => {
    await new Promise<void>((resolve) => owned.signal.addEventListener('abort', () => resolve()));
    events.push('aborted');
    await new Promise((resolve) => setImmediate(resolve));
    events.push('handled');
  });
  await vi.waitFor(() => expect(events).toEqual(['assigned 7']));
  await owned.revoke();
  await handling;
  expect(events).toEqual(['assigned 7', 'aborted', 'handled', 'revoked']);
});

test('nothing is delivered after a partition was given up', async () => {
  const { owned, events } = ownPartition();
  await owned.run(async () => {});
  await owned.revoke();
  await owned.run(async () => void events.push('batch'));
  expect(events).toEqual(['assigned 7', 'revoked']);
});

test('a partition given up before it was announced is never reported', async () => {
  const events: string[] = [];
  const earlier = latch();
  const { owned } = ownPartition({ events, earlier: earlier.opened });
  const revoked = owned.revoke();
  earlier.open();
  await revoked;
  expect(events).toEqual([]);
});

test('a new ownership begins when the earlier one is over', async () => {
  const earlier = latch();
  const { owned, events } = ownPartition({ earlier: earlier.opened });
  await new Promise((resolve) => setImmediate(resolve));
  expect(events).toEqual([]);
  earlier.open();
  await owned.run(async () => {});
  expect(events).toEqual(['assigned 7']);
});

test('the committed position is asked for until it is known', async () => {
  const committed = vi.fn<() => Promise<Commit | undefined>>();
  committed
    .mockRejectedValueOnce(new Error('no coordinator'))
    .mockResolvedValue({ offset: 7n, metadata: '' });
  const { owned, events } = ownPartition({ committed });
  await owned.run(async () => {});
  expect(events).toEqual(['error no coordinator', 'assigned 7']);
});

test('a start that cannot be sought yet is sought again, without choosing again', async () => {
  const startAt = vi.fn<OwnershipCallbacks['startAt']>();
  startAt.mockRejectedValueOnce(new Error('no leader')).mockResolvedValue(3n);
  const { owned, events } = ownPartition({ startAt, chosen: 3n });
  await owned.run(async () => {});
  expect(events).toEqual(['assigned 7', 'error no leader']);
  expect(startAt.mock.calls).toEqual(Array(2).fill([0, 3n, { offset: 7n, metadata: '' }]));
});

test('until something was fetched from the start, everything else is refused and the start asked for again', async () => {
  const startAt = vi.fn<OwnershipCallbacks['startAt']>();
  startAt.mockResolvedValueOnce(3n).mockResolvedValue(5n);
  const { owned } = ownPartition({ startAt });
  await owned.run(async () => {
    expect(await owned.accepts(7n)).toBe(false);
    expect(startAt).toHaveBeenCalledTimes(2);
    // Records have expired meanwhile, so the start is another one.
    expect(await owned.accepts(3n)).toBe(false);
    expect(await owned.accepts(5n)).toBe(true);
    expect(await owned.accepts(9n)).toBe(true);
  });
  expect(startAt).toHaveBeenCalledTimes(3);
});

test('where the start does not matter, everything is accepted', async () => {
  const { owned } = ownPartition();
  await owned.run(async () => expect(await owned.accepts(9n)).toBe(true));
});

test('closing waits for the handler and does not report the partition as revoked', async () => {
  const { owned, events } = ownPartition();
  const assignment = new Assignment([owned]);
  const handling = owned.run(async () => void events.push(`aborted: ${owned.signal.aborted}`));
  await handling;
  await assignment.close();
  expect(owned.signal.aborted).toBe(true);
  expect(events).toEqual(['assigned 7', 'aborted: false']);
});

test('an assignment is lost once, for the first reason', async () => {
  const { owned, events } = ownPartition();
  const assignment = new Assignment([owned]);
  await owned.run(async () => {});
  const over = assignment.lose('first');
  expect(assignment.lose('second').size).toBe(0);
  await Promise.all(over.values());
  expect(assignment.lost).toEqual({ reason: 'first' });
  expect(events).toEqual(['assigned 7', 'revoked']);
});

test('log time does not run back with a broker’s clock', () => {
  const { owned } = ownPartition();
  expect([5, 9, 7, 9, 10].map((time) => owned.advanceLogTime(time))).toEqual([5, 9, 9, 9, 10]);
});

function latch(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

interface Setting {
  readonly events?: string[];
  readonly earlier?: Promise<void>;
  readonly committed?: () => Promise<Commit | undefined>;
  readonly chosen?: bigint;
  readonly startAt?: OwnershipCallbacks['startAt'];
}

function ownPartition(setting: Setting = {}) {
  const { events = [], earlier = Promise.resolve() } = setting;
  const committed = setting.committed ?? (async () => ({ offset: 7n, metadata: '' }));
  const owned = new OwnedPartition(0, earlier, committed, {
    onAssigned: (_, commit) => {
      events.push(`assigned ${commit?.offset}`);
      return setting.chosen;
    },
    startAt: setting.startAt ?? (async () => undefined),
    onRevoked: () => void events.push('revoked'),
    onError: (error) => void events.push(`error ${error instanceof Error ? error.message : error}`),
  });
  return { owned, events };
}
