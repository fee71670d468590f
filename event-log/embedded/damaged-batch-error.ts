import { EventLogError } from '../errors.ts';

/** A stored batch cannot be read. Its partition stands still there: what follows would hide the loss. */
export class DamagedBatchError extends EventLogError {
  readonly code = 'EVENT_LOG_DAMAGED_BATCH';
  readonly retryable = false;

  constructor(topic: string, partition: number, baseOffset: bigint, options: ErrorOptions) {
    super(`the batch of ${topic}/${partition} that starts at offset ${baseOffset} is damaged`, options);
  }
}
