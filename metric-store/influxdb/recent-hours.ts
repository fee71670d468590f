import type { WindowAggregate } from '../metric-store.ts';

const HOUR_MS = 3_600_000;

/** InfluxDB looks for idle shards every 10 s; what was written more recently than this is not idle. */
const RECENT_MS = 5_000;

const MAX_ENTRIES = 10_000;

/**
 * Which hours of a resolution were written a moment ago. InfluxDB 1.x sets up a shard's cache at the first write
 * after the shard was created, loaded or idle, and a second request in that instant can find the cache half set up:
 * it is acknowledged and in the write-ahead log, but not in the cache, so it is gone with the next snapshot. Seen in
 * 1 of 500 new shards written by eight requests at once; the point was back after a restart. A request that may be
 * such a second one is therefore sent twice. No shard is shorter than an hour.
 */
export class RecentHours {
  readonly #writtenAt = new Map<string, number>();

  /** Whether every hour of these rows was written within the last moments. */
  cover(rows: readonly WindowAggregate[]): boolean {
    const now = performance.now();
    return hoursOf(rows).every((hour) => {
      const at = this.#writtenAt.get(hour);
      return at !== undefined && now - at < RECENT_MS;
    });
  }

  /** These rows are stored. */
  add(rows: readonly WindowAggregate[]): void {
    if (this.#writtenAt.size > MAX_ENTRIES) this.clear();
    const now = performance.now();
    for (const hour of hoursOf(rows)) this.#writtenAt.set(hour, now);
  }

  /** InfluxDB may have been restarted. */
  clear(): void {
    this.#writtenAt.clear();
  }
}

function hoursOf(rows: readonly WindowAggregate[]): string[] {
  const hours = new Set<string>();
  let last = Number.NaN;
  for (const { windowStart, resolutionMs } of rows) {
    const hour = Math.floor(windowStart / HOUR_MS);
    if (hour === last) continue;
    last = hour;
    hours.add(`${resolutionMs} ${hour}`);
  }
  return [...hours];
}
