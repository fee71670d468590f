/** Names an event by its place in the quarantine topic. */
export interface EventId {
  readonly partition: number;
  readonly offset: bigint;
}

/** What `parseEventId` accepts, for messages. */
export const EVENT_ID_EXPECTED = 'an id as `sluice quarantine list` prints it, such as 3/1042';

/** Reads `3/1042`: partition and offset. Undefined for anything else. */
export function parseEventId(text: string): EventId | undefined {
  const [, partition, offset] = /^(\d{1,4})\/(\d{1,19})$/.exec(text) ?? [];
  if (partition === undefined || offset === undefined) return undefined;
  return { partition: Number(partition), offset: BigInt(offset) };
}

export function formatEventId({ partition, offset }: EventId): string {
  return `${partition}/${offset}`;
}
