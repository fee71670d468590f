/** Base of everything that a metric store rejects with. */
export abstract class MetricStoreError extends Error {
  abstract readonly code: string;
  /** Whether the same call may succeed later without anything being changed. */
  abstract readonly retryable: boolean;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The store cannot be reached or did not answer before the deadline. */
export class MetricStoreUnavailableError extends MetricStoreError {
  readonly code = 'METRIC_STORE_UNAVAILABLE';
  readonly retryable = true;
}

/** The store was closed while, or before, the call was made. */
export class MetricStoreClosedError extends MetricStoreError {
  readonly code = 'METRIC_STORE_CLOSED';
  readonly retryable = false;
}

/** The folder or database belongs to another process, or holds something that this version cannot read. */
export class MetricStoreSchemaError extends MetricStoreError {
  readonly code = 'METRIC_STORE_SCHEMA';
  readonly retryable = false;
}

/** The bytes of a stored distribution are damaged, or of a format that this version does not know. */
export class UnreadableDistributionError extends MetricStoreError {
  readonly code = 'METRIC_STORE_UNREADABLE_DISTRIBUTION';
  readonly retryable = false;
}

/** The store will never take these rows of a write; every other row of that write is durable. */
export class RowsRefusedError extends MetricStoreError {
  readonly code = 'METRIC_STORE_ROWS_REFUSED';
  readonly retryable = false;
  /** Index into the written rows, and the store's own reason. */
  readonly refused: readonly { readonly index: number; readonly reason: string }[];

  constructor(
    refused: readonly { readonly index: number; readonly reason: string }[],
    options?: ErrorOptions,
  ) {
    const [first] = refused;
    super(`the store refused ${refused.length} row(s), the first: ${first?.reason ?? 'unknown'}`, options);
    this.refused = refused;
  }
}
