/** Base of everything that a query is refused with. */
export abstract class QueryError extends Error {
  abstract readonly code: string;
  /** Whether the same query may succeed later without anything being changed. */
  abstract readonly retryable: boolean;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A parameter of a request is unknown, malformed, or does not go with another. */
export class ParameterError extends QueryError {
  readonly code = 'PARAMETER_INVALID';
  readonly retryable = false;
  readonly parameter: string;
  /** The value seen; undefined when the parameter is missing. */
  readonly seen: string | undefined;
  readonly expected: string;

  constructor(parameter: string, seen: string | undefined, expected: string) {
    const found = seen === undefined ? 'is missing' : `is ${JSON.stringify(seen)}`;
    super(`${parameter} ${found}; expected ${expected}`);
    this.parameter = parameter;
    this.seen = seen;
    this.expected = expected;
  }
}

/** The query would return more buckets, or has to hold more rows of one window, than it may. */
export class QueryTooLargeError extends QueryError {
  readonly code = 'QUERY_TOO_LARGE';
  readonly retryable = false;
}

/** As many queries as may run at once are running. */
export class QueriesBusyError extends QueryError {
  readonly code = 'QUERIES_BUSY';
  readonly retryable = true;
}

/** The query was given up before it was answered: the deadline passed or the caller went away. */
export class QueryAbandonedError extends QueryError {
  readonly code = 'QUERY_ABANDONED';
  readonly retryable = true;
}
