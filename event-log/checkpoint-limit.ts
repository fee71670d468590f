import { RecordTooLargeError } from './errors.ts';

/** The largest checkpoint that a log keeps, bytes. */
export const MAX_CHECKPOINT_BYTES = 32 * 1024 * 1024;

/** Throws `RecordTooLargeError` for a checkpoint beyond `MAX_CHECKPOINT_BYTES`. */
export function checkCheckpointSize(checkpoint: Uint8Array): void {
  if (checkpoint.byteLength <= MAX_CHECKPOINT_BYTES) return;
  throw new RecordTooLargeError(
    `a checkpoint of ${checkpoint.byteLength} bytes is larger than the ${MAX_CHECKPOINT_BYTES} that the log takes`,
  );
}
