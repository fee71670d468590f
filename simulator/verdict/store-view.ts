import type { Content, Workload } from '../workload.ts';
import type { QueryClient } from './query-client.ts';
import type { Tally } from './tally.ts';

/** Up to this many devices are asked for by name; more would make the address too long for some proxies. */
const MAX_NAMED_DEVICES = 50;

/** What the store has of a run, as its query API tells. */
export class StoreView {
  readonly #client: QueryClient;
  readonly #workload: Workload;
  readonly #content: Content;
  readonly #indexes: ReadonlyMap<string, number>;
  readonly #metrics: readonly string[];
  #resolutionMs: number | undefined;

  constructor(client: QueryClient, workload: Workload, content: Content) {
    this.#client = client;
    this.#workload = workload;
    this.#content = content;
    this.#indexes = new Map(workload.deviceIds.map((deviceId, device) => [deviceId, device]));
    this.#metrics = [...new Set(workload.deviceIds.flatMap((_, device) => workload.metricsOf(device)))];
  }

  /** Size of the store's windows, ms, once it has answered. */
  get resolutionMs(): number | undefined {
    return this.#resolutionMs;
  }

  /** How many device messages the store has of each device, judged by the device's first metric. */
  async counts(): Promise<readonly number[]> {
    const counts = new Array<number>(this.#workload.deviceIds.length).fill(0);
    const leading = new Set(this.#workload.deviceIds.map((_, device) => this.#workload.metricsOf(device)[0]));
    for (const metric of this.#metrics.filter((name) => leading.has(name))) {
      await this.#query(metric, ['count'], (device, bucket) => {
        if (this.#workload.metricsOf(device)[0] === metric) counts[device] = bucket.count ?? 0;
      });
    }
    return counts;
  }

  /** The tallies of each device by metric. */
  async tallies(): Promise<readonly ReadonlyMap<string, Tally>[]> {
    const tallies = this.#workload.deviceIds.map(() => new Map<string, Tally>());
    for (const metric of this.#metrics) {
      await this.#query(metric, ['count', 'sum', 'min', 'max'], (device, bucket) => {
        const { count = 0, sum = 0, min = 0, max = 0 } = bucket;
        if (count > 0) tallies[device]?.set(metric, { count, sum, min, max });
      });
    }
    return tallies;
  }

  async #query(
    metric: string,
    aggs: readonly string[],
    visit: (device: number, bucket: Readonly<Record<string, number>>) => void,
  ): Promise<void> {
    const { deviceIds } = this.#workload;
    const { firstTimestamp, lastTimestamp } = this.#content;
    const devices = deviceIds.length <= MAX_NAMED_DEVICES ? deviceIds : undefined;
    const range = { from: firstTimestamp, to: lastTimestamp + 1 };
    const { series, resolutionMs } = await this.#client.query({
      metric,
      aggs,
      ...range,
      ...(devices && { devices }),
    });
    this.#resolutionMs = resolutionMs;
    for (const { deviceId, buckets } of series) {
      const device = this.#indexes.get(deviceId);
      const [bucket] = buckets;
      if (device !== undefined && bucket !== undefined) visit(device, bucket);
    }
  }
}
