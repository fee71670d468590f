import { expect, onTestFinished, test, vi } from 'vitest';
import type { EventLog } from '../event-log/event-log.ts';
import { Ticker } from './ticker.ts';

/** Ticks that a ticker appends while a real timer could have fired many times. */
async function ticksWithin(ms: number, closesInMs: number): Promise<number> {
  let ticks = 0;
  const log: Pick<EventLog, 'append'> = {
    append: async () => {
      ticks++;
      return 0n;
    },
  };
  const onFailure = (error: unknown) => expect.unreachable(String(error));
  const ticker = new Ticker({ log, topic: 't', partition: 0, clock: () => 0, onFailure });
  onTestFinished(() => ticker.stop());
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  ticker.scheduleFor(closesInMs);
  await vi.advanceTimersByTimeAsync(ms);
  return ticks;
}

test('a tick comes when the pane closes and not before', async () => {
  expect(await ticksWithin(9_999, 10_000)).toBe(0);
  expect(await ticksWithin(10_001, 10_000)).toBe(1);
});

test('a pane that closes later than a timer can wait brings no ticks until then', async () => {
  expect(await ticksWithin(60_000, 2 ** 31 + 1_000_000)).toBe(0);
});
