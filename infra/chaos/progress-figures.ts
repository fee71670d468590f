/** What a process's `/metrics` say of its part in moving messages. */
export interface ProgressFigures {
  /** Records not folded yet, by partition that the process owns. */
  readonly lag: ReadonlyMap<number, number>;
  /** Device messages folded since the process started. */
  readonly folded: number;
  /** Device messages that its gateway made durable since the process started. */
  readonly accepted: number;
}

const LAG = /^sluice_processor_lag_records\{[^}]*partition="(\d+)"[^}]*\} (\S+)$/gm;
const FOLDED = /^sluice_processor_messages_total\{[^}]*\} (\S+)$/gm;
const ACCEPTED = /^sluice_gateway_accepted_messages_total(?:\{[^}]*\})? (\S+)$/gm;

/** Reads the figures out of Prometheus text; what a process has no metric of is empty or 0. */
export function readProgressFigures(text: string): ProgressFigures {
  const lag = [...text.matchAll(LAG)].map(
    ([, partition, value]) => [Number(partition), Number(value)] as const,
  );
  return { lag: new Map(lag), folded: sumOf(text, FOLDED), accepted: sumOf(text, ACCEPTED) };
}

function sumOf(text: string, metric: RegExp): number {
  return [...text.matchAll(metric)].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** The figures of all processes at one moment, by process; one that gave no answer is left out. */
export type Snapshot = ReadonlyMap<string, ProgressFigures>;

export interface CaughtUpRule {
  readonly partitions: number;
  /** Lag of all partitions together that counts as none. */
  readonly mostLag: number;
}

/**
 * Whether the processors are level with the gateways: each partition has an owner, the lag is next to nothing, and
 * messages were folded since the snapshot before, unless none were accepted.
 */
export function isCaughtUp(before: Snapshot, now: Snapshot, { partitions, mostLag }: CaughtUpRule): boolean {
  const lag = new Map<number, number>();
  for (const figures of now.values()) {
    for (const [partition, records] of figures.lag) {
      lag.set(partition, Math.max(records, lag.get(partition) ?? 0));
    }
  }
  if (lag.size < partitions) return false;
  if ([...lag.values()].reduce((sum, records) => sum + records, 0) > mostLag) return false;
  return increase(before, now, 'folded') > 0 || increase(before, now, 'accepted') === 0;
}

/** Over the processes that were there at both moments and did not start again in between. */
function increase(before: Snapshot, now: Snapshot, counter: 'folded' | 'accepted'): number {
  let sum = 0;
  for (const [name, figures] of now) {
    const earlier = before.get(name);
    if (earlier !== undefined) sum += Math.max(0, figures[counter] - earlier[counter]);
  }
  return sum;
}
