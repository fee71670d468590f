import { z } from 'zod';

/** The API cannot be reached, or did not answer in time. */
export class ApiUnreachableError extends Error {
  readonly code = 'API_UNREACHABLE';
  readonly retryable = true;
  override readonly name = 'ApiUnreachableError';
}

/** The API refused the request, failed, or is no Sluice API. The message is for people. */
export class ApiAnswerError extends Error {
  readonly code = 'API_ANSWER';
  readonly retryable: boolean;
  override readonly name = 'ApiAnswerError';

  constructor(message: string, retryable: boolean) {
    super(message);
    this.retryable = retryable;
  }
}

/** Query string of a request; what is undefined is left out, lists are repeated. */
export type RequestParameters = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A little longer than the API's own deadline, so that its answer is seen. */
const DEADLINE_MS = 40_000;

const problem = z.object({ title: z.string(), status: z.number(), detail: z.string() });

/**
 * Gets a JSON document of an API and checks its shape. `baseUrl` is `http://host:port`, perhaps with a path.
 * Rejects with `ApiUnreachableError` or `ApiAnswerError`.
 */
export async function fetchJson<T>(
  baseUrl: string,
  path: string,
  parameters: RequestParameters,
  shape: z.ZodType<T>,
): Promise<T> {
  const answer = await request(baseUrl, `${path}${queryString(parameters)}`);
  const document = parseJson(answer.body);
  if (!answer.ok) throw refusal(baseUrl, answer.status, document);
  const checked = shape.safeParse(document);
  if (!checked.success) {
    throw new ApiAnswerError(`what answers at ${baseUrl} is not a Sluice API of this version`, false);
  }
  return checked.data;
}

interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly body: string;
}

async function request(baseUrl: string, pathAndQuery: string): Promise<Answer> {
  const url = addressOf(baseUrl, pathAndQuery);
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DEADLINE_MS) });
    return { ok: response.ok, status: response.status, body: await response.text() };
  } catch (cause) {
    throw new ApiUnreachableError(
      `the query API at ${baseUrl} cannot be reached (${reasonOf(cause)}); start it with \`sluice start\` or name another address with --url`,
      { cause },
    );
  }
}

function addressOf(baseUrl: string, pathAndQuery: string): URL {
  const address = `${baseUrl.replace(/\/+$/, '')}${pathAndQuery}`;
  if (!/^https?:\/\/[^/]/.test(baseUrl) || !URL.canParse(address)) {
    throw new ApiAnswerError(
      `${JSON.stringify(baseUrl)} is not the address of a query API; expected http://host:port`,
      false,
    );
  }
  return new URL(address);
}

function queryString(parameters: RequestParameters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of value === undefined ? [] : [value].flat()) query.append(name, one);
  }
  return query.size > 0 ? `?${query}` : '';
}

function refusal(baseUrl: string, status: number, document: unknown): ApiAnswerError {
  const told = problem.safeParse(document);
  const message = told.success
    ? `${told.data.title}: ${told.data.detail}`
    : `what answers at ${baseUrl} is not a Sluice API: it answered with status ${status}`;
  return new ApiAnswerError(message, status === 503);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** fetch hides the reason in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${DEADLINE_MS / 1_000} s`;
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return cause.message || ('code' in cause ? String(cause.code) : cause.name);
}
