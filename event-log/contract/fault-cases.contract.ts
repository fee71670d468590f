import { expect, vi } from 'vitest';
import { EventLogFullError, EventLogUnavailableError } from '../errors.ts';
import type { EventLog } from '../event-log.ts';
import type { Bench } from './bench.contract.ts';
import type { Hold } from './cases.contract.ts';
import { numberOf, PATIENCE, value } from './numbers.contract.ts';

export function faultCases(hold: Hold): void {
  hold('unavailable', async (bench) => {
    const log = await bench.open({ appendTimeoutMs: 1_500 });
    await log.append(bench.topic, 0, 'device', value(0));
    await bench.storage.makeUnavailable?.();
    const started = performance.now();
    await expect(log.append(bench.topic, 0, 'device', value(1))).rejects.toThrow(EventLogUnavailableError);
    const waited = performance.now() - started;
    expect(waited).toBeGreaterThan(1_000);
    expect(waited).toBeLessThan(6_000);
    await bench.storage.makeAvailable?.();
    await vi.waitFor(() => log.append(bench.topic, 0, 'device', value(2)), PATIENCE);
  });

  hold('interrupted', async (bench) => {
    const log = await bench.open({ appendTimeoutMs: 30_000 });
    const load = new Load(log, bench.topic);
    const progress = async () => {
      const before = load.acknowledgedCount;
      await vi.waitFor(() => expect(load.acknowledgedCount).toBeGreaterThan(before + 300), PATIENCE);
    };
    try {
      await progress();
      for (let round = 0; round < 2; round++) {
        await bench.storage.makeUnavailable?.();
        await new Promise((resolve) => setTimeout(resolve, 300));
        await bench.storage.makeAvailable?.();
        await progress();
      }
    } finally {
      await load.stop();
    }
    await log.close();
    await expectAcknowledged(bench, load.acknowledged);
  });

  hold('full', async (bench) => {
    const log = await bench.open({ maxPendingBytes: 256 * 1024 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => log.append(bench.topic, 0, `${i}`, Buffer.alloc(8 * 1024, i))),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThan(50);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(EventLogFullError);
    const stored = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(stored).toEqual(stored.map((_, i) => BigInt(i)));
    await expect(log.append(bench.topic, 0, 'device', value(0))).resolves.toBe(BigInt(stored.length));
  });

  hold('ping', async (bench) => {
    const log = await bench.open();
    await log.ping();
    if (bench.storage.makeUnavailable === undefined) return;
    await bench.storage.makeUnavailable();
    await expect(log.ping()).rejects.toMatchObject({ retryable: true });
    await bench.storage.makeAvailable?.();
    await vi.waitFor(() => log.ping(), PATIENCE);
  });
}

/** What is acknowledged must be there in order; what is not may be there, also more than once. */
async function expectAcknowledged(bench: Bench, acknowledged: readonly (readonly number[])[]): Promise<void> {
  const reading = await bench.read(await bench.open());
  for (const [partition, expected] of acknowledged.entries()) {
    const wanted = new Set(expected);
    await vi.waitFor(() => {
      const seen = reading.of(partition).map(({ value }) => numberOf(value));
      // A retry of an append whose first attempt was stored unnoticed stores it twice: the first one counts.
      expect([...new Set(seen.filter((i) => wanted.has(i)))]).toEqual(expected);
    }, PATIENCE);
  }
}

/** Appends to three partitions without a pause, each burst after the outcomes of the one before. */
class Load {
  /** By partition, in the order of the calls. */
  readonly acknowledged: number[][] = [[], [], []];
  readonly #done: Promise<unknown>;
  #stopped = false;
  #sent = 0;

  constructor(log: EventLog, topic: string) {
    this.#done = Promise.all(
      this.acknowledged.map((kept, partition) => this.#run(log, topic, partition, kept)),
    );
  }

  get acknowledgedCount(): number {
    return this.acknowledged.flat().length;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(log: EventLog, topic: string, partition: number, kept: number[]): Promise<void> {
    while (!this.#stopped) {
      const burst = Array.from({ length: 20 }, () => this.#sent++);
      const outcomes = await Promise.allSettled(
        burst.map((i) => log.append(topic, partition, 'device', value(i))),
      );
      kept.push(...burst.filter((_, index) => outcomes[index]?.status === 'fulfilled'));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
