import { MetricStoreError } from '../metric-store/errors.ts';
import { ParameterError, QueriesBusyError, QueryAbandonedError, QueryTooLargeError } from './errors.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** Problem details for HTTP APIs, RFC 9457. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** The parameter at fault, the value seen (absent when it is missing) and what is expected. */
  readonly parameter?: string;
  readonly value?: string;
  readonly expected?: string;
}

/** Seconds after which a request that failed for want of capacity may be sent again. */
export const RETRY_AFTER_SECONDS = 2;

/** What a client is told of a failed request. Unforeseen errors are not shown to it. */
export function toProblem(error: unknown): Problem {
  if (error instanceof ParameterError) return parameterProblem(error);
  if (error instanceof QueryTooLargeError)
    return problem('query-too-large', 'Query too large', 422, error.message);
  if (error instanceof QueriesBusyError) return problem('busy', 'Too many queries', 503, error.message);
  if (error instanceof MetricStoreError) {
    return problem('store-unavailable', 'Metric store unavailable', 503, error.message);
  }
  if (error instanceof QueryAbandonedError || codeOf(error) === 'FST_ERR_HANDLER_TIMEOUT') {
    return problem('deadline', 'Deadline passed', 503, 'the request was not answered before its deadline');
  }
  const status = statusOf(error);
  if (error instanceof Error && status !== undefined && status < 500) {
    return problem('bad-request', 'Bad request', status, error.message);
  }
  return problem('internal', 'Internal error', 500, 'the request failed for a reason that is in the log');
}

export function notFoundProblem(method: string, path: string): Problem {
  return problem('not-found', 'Not found', 404, `there is no ${method} ${path}; GET / lists what there is`);
}

function parameterProblem({ parameter, seen, expected, message }: ParameterError): Problem {
  return {
    ...problem('invalid-parameter', 'Invalid parameter', 400, message),
    parameter,
    ...(seen !== undefined && { value: seen }),
    expected,
  };
}

function problem(kind: string, title: string, status: number, detail: string): Problem {
  return { type: `urn:sluice:problem:${kind}`, title, status, detail };
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}
