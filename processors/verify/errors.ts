import { ProcessorError } from '../errors.ts';

/** The range holds more than is kept in memory at once. */
export class VerifyRangeTooLargeError extends ProcessorError {
  readonly code = 'VERIFY_RANGE_TOO_LARGE';
  readonly retryable = false;

  constructor(bound: number) {
    super(`the range holds more than ${bound} messages and readings; verify a shorter one`);
  }
}
