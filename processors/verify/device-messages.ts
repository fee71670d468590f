/** Readings of one metric of one device: parallel arrays. */
export interface SeriesReadings {
  readonly values: number[];
  /** Position of each reading's message among its device's. */
  readonly messages: number[];
}

/** What one device sent, in the order of the log: parallel arrays, one element for each message. */
export interface DeviceMessages {
  readonly partition: number;
  /** The device's number of the message; -1 where its payload has told already that it is not a repetition. */
  readonly sequences: number[];
  /** Event time, ms since the epoch. */
  readonly timestamps: number[];
  /** The later of event time and the watermark at which it was read, ms: windows that end after it were open to it. */
  readonly settled: number[];
  /** Whether it is among the messages that the balance counts. */
  readonly counted: boolean[];
  readonly series: Map<string, SeriesReadings>;
}

export const NO_SEQUENCE = -1;

export function createDeviceMessages(partition: number): DeviceMessages {
  return { partition, sequences: [], timestamps: [], settled: [], counted: [], series: new Map() };
}

/** Which messages say again what an earlier one said: the same number with the same event time. */
export function repetitionsIn({ sequences, timestamps }: DeviceMessages): boolean[] {
  const seen = new Map<number, Set<number>>();
  return sequences.map((sequence, index) => {
    if (sequence === NO_SEQUENCE) return false;
    const times = seen.get(sequence) ?? new Set<number>();
    seen.set(sequence, times);
    const timestamp = timestamps[index] ?? Number.NaN;
    if (times.has(timestamp)) return true;
    times.add(timestamp);
    return false;
  });
}
