import { ProcessorError } from '../errors.ts';

/** Records that the range needs are not in the log: rows made without them would replace good ones. */
export class ReplayInputMissingError extends ProcessorError {
  readonly code = 'REPLAY_INPUT_MISSING';
  readonly retryable = false;
}
