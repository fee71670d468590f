import { expect, test } from 'vitest';
import { isStaleMetadata, produceError } from './produce-errors.ts';

test.each([
  [-1, true, 'UNKNOWN_SERVER_ERROR'],
  [3, true, 'UNKNOWN_TOPIC_OR_PARTITION'],
  [5, true, 'LEADER_NOT_AVAILABLE'],
  [6, true, 'NOT_LEADER_OR_FOLLOWER'],
  [7, true, 'REQUEST_TIMED_OUT'],
  [10, false, 'do not take a record of this size'],
  [17, false, 'not a valid topic name'],
  [19, true, 'NOT_ENOUGH_REPLICAS'],
  [20, true, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'],
  [29, false, 'TOPIC_AUTHORIZATION_FAILED'],
  [56, true, 'KAFKA_STORAGE_ERROR'],
  [87, false, 'INVALID_RECORD'],
  [9_999, true, 'error code 9999'],
])('error code %i is retryable: %s (%s)', (errorCode, retryable, message) => {
  const error = produceError('topic', 4, errorCode);
  expect(error).toMatchObject({ retryable, message: expect.stringContaining(message) });
});

test('only errors about where a partition is ask for new metadata', () => {
  expect([3, 5, 6, 74].every(isStaleMetadata)).toBe(true);
  expect([-1, 0, 7, 10, 19, 20, 56].some(isStaleMetadata)).toBe(false);
});
