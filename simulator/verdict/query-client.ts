import { z } from 'zod';
import { QueryApiError } from '../errors.ts';

/** A query API, asked as any other client would. */
export interface QueryRequest {
  readonly metric: string;
  readonly aggs: readonly string[];
  /** Ms since the epoch; the API floors it to the windows that it stores. */
  readonly from: number;
  /** Ms since the epoch, exclusive; the API ceils it. */
  readonly to: number;
  /** Bucket size, ms; the whole range is one bucket unless given. */
  readonly everyMs?: number;
  /** Every device unless given. */
  readonly devices?: readonly string[];
}

const answer = z.object({
  resolutionMs: z.number().positive(),
  series: z.array(
    z.object({
      deviceId: z.string(),
      buckets: z.array(z.record(z.string(), z.number())),
    }),
  ),
});

const problem = z.object({ title: z.string(), detail: z.string() });

export type QueryAnswer = z.infer<typeof answer>;

const REQUEST_DEADLINE_MS = 35_000;

export class QueryClient {
  readonly #apiUrl: string;

  /** `apiUrl` is `http://host:port`. */
  constructor(apiUrl: string) {
    this.#apiUrl = apiUrl.replace(/\/+$/, '');
  }

  /** One series per device. Rejects with `QueryApiError`, retryable where another attempt may succeed. */
  async query(request: QueryRequest): Promise<QueryAnswer> {
    const { status, text } = await this.#get(`/api/v1/query?${parametersOf(request)}`);
    const json = parseJson(text);
    if (status !== 200) {
      const told = problem.safeParse(json);
      const reason = told.success ? `${told.data.title}: ${told.data.detail}` : `status ${status}`;
      throw new QueryApiError(`the query API at ${this.#apiUrl} refused a query: ${reason}`, {
        retryable: status >= 500 || status === 429,
      });
    }
    const checked = answer.safeParse(json);
    if (!checked.success) {
      throw new QueryApiError(`what answers at ${this.#apiUrl} is not a query API of this version`, {
        retryable: false,
        cause: checked.error,
      });
    }
    return checked.data;
  }

  async #get(pathAndQuery: string): Promise<{ status: number; text: string }> {
    try {
      const response = await fetch(`${this.#apiUrl}${pathAndQuery}`, {
        signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
      });
      return { status: response.status, text: await response.text() };
    } catch (cause) {
      const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
      const reason = inner instanceof Error ? inner.message : String(inner);
      throw new QueryApiError(`the query API at ${this.#apiUrl} cannot be reached: ${reason}`, {
        retryable: true,
        cause,
      });
    }
  }
}

function parametersOf({ metric, aggs, from, to, everyMs, devices = [] }: QueryRequest): URLSearchParams {
  const parameters = new URLSearchParams({
    metric,
    agg: aggs.join(','),
    from: String(from),
    to: String(to),
    groupBy: 'device',
    // What came late is in the finest windows first.
    resolution: 'finest',
  });
  if (everyMs !== undefined) parameters.set('every', `${everyMs}ms`);
  if (devices.length > 0) parameters.set('device', devices.join(','));
  return parameters;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
