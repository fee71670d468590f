import { ProcessorError } from '../errors.ts';

/** The range holds more than is kept in memory at once. */
export class RangeTooLargeError extends ProcessorError {
  readonly code = 'PROCESSOR_RANGE_TOO_LARGE';
  readonly retryable = false;

  constructor(bound: number, what: string) {
    super(`the range holds more than ${bound} ${what}; choose a shorter one`);
  }
}
