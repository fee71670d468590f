import { expect, test } from 'vitest';
import { Sessions } from './sessions.ts';

const LIMITS = { maxUnreleasedPerClient: 3, maxUnreleased: 5, maxSessions: 4, maxSubscriptionsPerClient: 2 };
const isGranted = (filter: string) => !filter.startsWith('$');

test('a message is known until its client releases it', async () => {
  const sessions = new Sessions(LIMITS, isGranted);
  const receipt = sessions.remember('a', 1, 111);
  expect(sessions.receipt('a', 1)).toBe(receipt);
  expect(sessions.receipt('b', 1)).toBeUndefined();
  await expect(sessions.incomingGetPacket({ id: 'a' }, { messageId: 1 })).resolves.toBe(receipt);
  await sessions.incomingDelPacket({ id: 'a' }, { messageId: 1 });
  expect(sessions.receipt('a', 1)).toBeUndefined();
  await expect(sessions.incomingGetPacket({ id: 'a' }, { messageId: 1 })).rejects.toThrow();
});

test('a client has no more than its bound, and room again after a release', async () => {
  const sessions = new Sessions(LIMITS, isGranted);
  for (const id of [1, 2, 3]) expect(sessions.remember('a', id, 0)).toBeDefined();
  expect(sessions.remember('a', 4, 0)).toBeUndefined();
  expect(sessions.remember('a', 3, 1)).toBeDefined();
  await sessions.incomingDelPacket({ id: 'a' }, { messageId: 1 });
  expect(sessions.remember('a', 4, 0)).toBeDefined();
});

test('forgetting a failed message leaves another one under the same identifier alone', () => {
  const sessions = new Sessions(LIMITS, isGranted);
  const failed = sessions.remember('a', 1, 1);
  const later = sessions.remember('a', 1, 2);
  if (failed !== undefined) sessions.forget('a', 1, failed);
  expect(sessions.receipt('a', 1)).toBe(later);
});

test('beyond the bound for all, the session that connected longest ago is forgotten', async () => {
  const sessions = new Sessions(LIMITS, isGranted);
  for (const id of [1, 2]) sessions.remember('a', id, 0);
  for (const id of [1, 2]) sessions.remember('b', id, 0);
  await sessions.subscriptionsByClient({ id: 'a' });
  for (const id of [1, 2]) sessions.remember('c', id, 0);
  expect(['a', 'b', 'c'].map((id) => sessions.receipt(id, 1) !== undefined)).toEqual([true, false, true]);
});

test('the bound for all counts what was released, cleaned and forgotten', async () => {
  const sessions = new Sessions(LIMITS, isGranted);
  const kept = sessions.remember('kept', 1, 0);
  for (let round = 0; round < 20; round++) {
    sessions.remember('a', 1, 0);
    await sessions.incomingDelPacket({ id: 'a' }, { messageId: 1 });
    sessions.remember('b', 1, 0);
    await sessions.cleanIncoming({ id: 'b' });
    const failed = sessions.remember('c', 1, 0);
    if (failed !== undefined) sessions.forget('c', 1, failed);
  }
  expect(sessions.receipt('kept', 1)).toBe(kept);
});

test('sessions are bounded, and the one that connected longest ago goes', async () => {
  const sessions = new Sessions(LIMITS, isGranted);
  for (const id of ['a', 'b', 'c', 'd', 'e']) await sessions.addSubscriptions({ id }, [{ topic: 'x' }]);
  expect(await sessions.subscriptionsByClient({ id: 'a' })).toEqual([]);
  expect(await sessions.subscriptionsByClient({ id: 'b' })).toEqual([{ topic: 'x', qos: 0 }]);
});

test('subscriptions that may not be granted, or are too many, are not stored', async () => {
  const sessions = new Sessions(LIMITS, isGranted);
  await sessions.addSubscriptions(
    { id: 'a' },
    ['$SYS/#', 'x', 'y', 'z'].map((topic) => ({ topic })),
  );
  expect(await sessions.subscriptionsByClient({ id: 'a' })).toEqual([
    { topic: 'x', qos: 0 },
    { topic: 'y', qos: 0 },
  ]);
  await sessions.removeSubscriptions({ id: 'a' }, ['x']);
  expect(await sessions.subscriptionsByClient({ id: 'a' })).toEqual([{ topic: 'y', qos: 0 }]);
  await sessions.cleanSubscriptions({ id: 'a' });
  expect(await sessions.subscriptionsByClient({ id: 'a' })).toEqual([]);
});
