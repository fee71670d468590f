/** How a kind of device behaves. Everything here is pure: whoever knows the seed can recompute each value. */
export interface Profile {
  readonly name: string;
  /** What every message of such a device carries, in this order. */
  readonly metrics: readonly ProfileMetric[];
  /**
   * The values at a time (ms since the epoch), in the order of `metrics`, booleans as 0 and 1: a function of the
   * run's seed, the device's index in the fleet, and the time.
   */
  valuesAt(seed: number, device: number, timestamp: number): readonly number[];
}

export interface ProfileMetric {
  readonly name: string;
  readonly kind: 'number' | 'boolean';
  readonly unit: string;
  /** Every value lies in [min, max]. */
  readonly min: number;
  readonly max: number;
}
