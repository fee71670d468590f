import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { withDeadline } from './deadline.ts';

export interface HttpClientOptions {
  readonly url: URL;
  readonly username?: string;
  readonly password?: string;
  readonly requestTimeoutMs: number;
  readonly maxConnections: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** Of InfluxDB, if it is one. */
  readonly version: string | undefined;
  /** At most the first 64 KiB. */
  readonly text: string;
}

const MAX_TEXT_BYTES = 64 * 1024;

/** InfluxDB repeats its error text in a header, which can get longer than Node accepts by default. */
const MAX_HEADER_BYTES = 256 * 1024;

/** Requests over kept-alive connections, each with a deadline. */
export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly agent: Agent;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    const agentOptions = { keepAlive: true, maxSockets: options.maxConnections, noDelay: true };
    this.agent = options.url.protocol === 'https:' ? new HttpsAgent(agentOptions) : new Agent(agentOptions);
  }

  /** Resolves with whatever was answered, also errors. Rejects with `MetricStoreUnavailableError` or the signal's reason. */
  send(method: 'GET' | 'POST', path: string, body?: Buffer, signal?: AbortSignal): Promise<HttpAnswer> {
    const call = async (ended: AbortSignal) => {
      try {
        return await this.#attempt(method, path, body, ended);
      } catch (error) {
        // The server may have closed a kept connection just as it was used again: that says nothing about it.
        if (!(error instanceof StaleConnectionError) || ended.aborted) throw error;
        return await this.#attempt(method, path, body, ended);
      }
    };
    return withDeadline(this.#options.requestTimeoutMs, call, signal);
  }

  close(): void {
    this.agent.destroy();
  }

  #attempt(method: string, path: string, body: Buffer | undefined, signal: AbortSignal): Promise<HttpAnswer> {
    const { url, username, password } = this.#options;
    return new Promise((resolve, reject) => {
      const begin = url.protocol === 'https:' ? httpsRequest : request;
      const call = begin(new URL(joinPath(url.pathname, path), url), {
        method,
        agent: this.agent,
        signal,
        maxHeaderSize: MAX_HEADER_BYTES,
        headers: { 'content-length': body?.length ?? 0 },
        ...(username === undefined ? {} : { auth: `${username}:${password ?? ''}` }),
      });
      call.on('error', (error) => reject(isStale(call, error) ? new StaleConnectionError(error) : error));
      call.on('response', (response) => readAnswer(response).then(resolve, reject));
      call.end(body);
    });
  }
}

class StaleConnectionError extends Error {
  override readonly name = 'StaleConnectionError';

  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

function isStale(call: ClientRequest, error: Error): boolean {
  return call.reusedSocket && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

function joinPath(base: string, path: string): string {
  return base.endsWith('/') ? base + path.slice(1) : base + path;
}

async function readAnswer(response: IncomingMessage): Promise<HttpAnswer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response) {
    if (!Buffer.isBuffer(part)) continue;
    if (bytes < MAX_TEXT_BYTES) parts.push(part);
    bytes += part.length;
  }
  const version = response.headers['x-influxdb-version'];
  return {
    status: response.statusCode ?? 0,
    version: typeof version === 'string' ? version : undefined,
    text: Buffer.concat(parts).toString('utf8').slice(0, MAX_TEXT_BYTES),
  };
}
