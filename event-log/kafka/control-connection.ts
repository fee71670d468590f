import type { Admin } from 'kafkajs';
import { EventLogError, EventLogUnavailableError } from '../errors.ts';
import { CONNECTION_TIMEOUT_MS, settledWithin, withDeadline } from './deadline.ts';
import { createKafkaClient, type KafkaClient, type KafkaConnectionOptions } from './kafka-client.ts';

interface Connected {
  readonly client: KafkaClient;
  readonly admin: Promise<Admin>;
}

/**
 * The connection for everything that is neither appending nor consuming. Opened on first use, kept, and replaced
 * after a failure, because kafkajs keeps using a connection on which requests time out.
 */
export class ControlConnection {
  readonly #options: KafkaConnectionOptions;
  #connected: Connected | undefined;

  constructor(options: KafkaConnectionOptions) {
    this.#options = options;
  }

  /** Runs one operation; rejects with an `EventLogError` when it fails or takes longer than `deadlineMs`. */
  async run<T>(what: string, deadlineMs: number, operation: (admin: Admin) => Promise<T>): Promise<T> {
    this.#connected ??= this.#connect();
    const connected = this.#connected;
    try {
      return await withDeadline(connected.admin.then(operation), deadlineMs, what);
    } catch (cause) {
      this.#discard(connected);
      if (cause instanceof EventLogError) throw cause;
      throw new EventLogUnavailableError(`Kafka: ${what} failed: ${messageOf(cause)}`, { cause });
    }
  }

  async close(): Promise<void> {
    const connected = this.#connected;
    if (connected === undefined) return;
    this.#connected = undefined;
    const disconnecting = connected.admin.then((admin) => admin.disconnect());
    await settledWithin(disconnecting, CONNECTION_TIMEOUT_MS);
    connected.client.destroy();
  }

  #connect(): Connected {
    const client = createKafkaClient(this.#options, { retries: 0 });
    const admin = client.kafka.admin({ retry: { retries: 0 } });
    const connected = admin.connect().then(() => admin);
    connected.catch(() => {});
    return { client, admin: connected };
  }

  #discard(connected: Connected): void {
    if (this.#connected === connected) this.#connected = undefined;
    connected.client.destroy();
  }
}

/** kafkajs puts several errors of one response into `errors`. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const parts: unknown = Reflect.get(error, 'errors');
  if (!Array.isArray(parts)) return error.message;
  return `${error.message}: ${parts.map((part: unknown) => messageOf(part)).join('; ')}`;
}
