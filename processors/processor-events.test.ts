import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createProcessorEvents } from './processor-events.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

function createEvents() {
  return createProcessorEvents(new Registry(), pino({ level: 'silent' }));
}

test('a consumer that fails and then gets a partition is failing no longer, though nothing is sent', () => {
  const events = createEvents();
  events.consumerFailed(new Error('the coordinator is loading'));
  expect(events.failing()).toBe('event log: the coordinator is loading');
  events.partitionAssigned(3, 0n, 0);
  expect(events.failing()).toBeUndefined();
});

test('a consumer that gets no partition is failing until it has not failed for a minute', () => {
  const events = createEvents();
  events.consumerFailed(new Error('first'));
  vi.advanceTimersByTime(40_000);
  events.consumerFailed(new Error('second'));
  vi.advanceTimersByTime(40_000);
  expect(events.failing()).toBe('event log: second');
  vi.advanceTimersByTime(21_000);
  expect(events.failing()).toBeUndefined();
});
