/** Base of everything that the simulator rejects with. A verdict that is not good is a result, not an error. */
export abstract class SimulatorError extends Error {
  abstract readonly code: string;
  /** Whether the same call may succeed later without anything being changed. */
  abstract readonly retryable: boolean;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option has a value that cannot be used. */
export class SimulatorOptionError extends SimulatorError {
  readonly code = 'SIMULATOR_OPTION';
  readonly retryable = false;
}

/** The recording cannot be read, or is not a recording. */
export class RecordingError extends SimulatorError {
  readonly code = 'SIMULATOR_RECORDING';
  readonly retryable = false;
}

/** The devices could not be connected in time. */
export class FleetConnectError extends SimulatorError {
  readonly code = 'SIMULATOR_CONNECT';
  readonly retryable = true;
}

/** The query API did not answer before the deadline, or answered with something that is not its format. */
export class QueryApiError extends SimulatorError {
  readonly code = 'SIMULATOR_QUERY_API';
  readonly retryable: boolean;

  constructor(message: string, options: ErrorOptions & { readonly retryable: boolean }) {
    super(message, options);
    this.retryable = options.retryable;
  }
}
