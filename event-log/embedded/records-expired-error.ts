import { EventLogError } from '../errors.ts';

/** Retention removed records that a consumer group had not read; reading continues behind them. */
export class RecordsExpiredError extends EventLogError {
  readonly code = 'EVENT_LOG_RECORDS_EXPIRED';
  readonly retryable = false;

  constructor(topic: string, partition: number, from: bigint, to: bigint) {
    super(`retention removed offsets ${from} to ${to - 1n} of ${topic}/${partition} before they were read`);
  }
}
