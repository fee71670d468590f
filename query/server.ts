import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { notFoundProblem, PROBLEM_TYPE, type Problem, RETRY_AFTER_SECONDS, toProblem } from './problem.ts';
import type { QueryEvents } from './query-events.ts';

/** A running HTTP server. */
export interface HttpServer {
  /** Where it can be reached from this machine, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Takes no more requests, answers the running ones and frees the port. Idempotent. */
  close(): Promise<void>;
}

/** The address cannot be listened on. */
export class ListenError extends Error {
  readonly code = 'HTTP_LISTEN';
  readonly retryable = false;
  override readonly name = 'ListenError';
}

/** More connections than this are closed as they come. */
const MAX_CONNECTIONS = 1_000;
const RECEIVE_TIMEOUT_MS = 10_000;
/** A socket on which nothing moves is closed this long after the deadline of a request. */
const IDLE_SOCKET_MS = 30_000;
/** Answers that have not been taken this long after `close` was called are cut off. */
const CLOSE_TIMEOUT_MS = 5_000;

/** A server without routes that answers every failure with problem details and counts every answer. */
export function createServer(events: QueryEvents, deadlineMs: number): FastifyInstance {
  const fail = (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const problem = toProblem(error);
    if (problem.status >= 500) events.requestFailed(routeOf(request), problem.status, error);
    return sendProblem(reply, problem);
  };
  const app = fastify({
    logger: false,
    handlerTimeout: deadlineMs,
    requestTimeout: RECEIVE_TIMEOUT_MS,
    connectionTimeout: deadlineMs + IDLE_SOCKET_MS,
    bodyLimit: 1_024,
    forceCloseConnections: 'idle',
    frameworkErrors: fail,
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  // The schemas of requests describe; `ParameterReader` checks, and says what is wrong in its own words.
  app.setValidatorCompiler(() => () => true);
  app.setErrorHandler(fail);
  app.setNotFoundHandler((request, reply) => {
    const [path = '/'] = request.url.split('?');
    return sendProblem(reply, notFoundProblem(request.method, path));
  });
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onSend', async (_request, reply) => {
    // A connection kept alive after its answer would hold up the close.
    if (closing) reply.header('connection', 'close');
  });
  app.addHook('onResponse', async (request, reply) => {
    events.requestAnswered(routeOf(request), reply.statusCode, reply.elapsedTime / 1_000);
  });
  app.addHook('onRequestAbort', async (request) => events.requestAbandoned(routeOf(request)));
  return app;
}

/** Listens. Rejects with `ListenError` when the address is taken or not one of this machine. */
export async function listen(
  app: FastifyInstance,
  events: QueryEvents,
  host: string,
  port: number,
): Promise<HttpServer> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ListenError(`cannot serve HTTP on ${host}:${port}: ${reason}`, { cause });
  }
  const address = app.server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  const url = `http://${reachable(host)}:${bound}`;
  events.listening(url);
  let closing: Promise<void> | undefined;
  return {
    url,
    port: bound,
    close() {
      closing ??= closeServer(app);
      return closing;
    },
  };
}

async function closeServer(app: FastifyInstance): Promise<void> {
  const cutOff = setTimeout(() => app.server.closeAllConnections(), CLOSE_TIMEOUT_MS);
  try {
    await app.close();
  } finally {
    clearTimeout(cutOff);
  }
}

/** A wildcard is not an address to go to. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.status === 503) reply.header('retry-after', String(RETRY_AFTER_SECONDS));
  return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem));
}

function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'none';
}
