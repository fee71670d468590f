import net from 'node:net';
import tls from 'node:tls';
import { type ISocketFactoryArgs, Kafka, logLevel, type RetryOptions, type SASLOptions } from 'kafkajs';
import type { Logger } from 'pino';
import { CONNECTION_TIMEOUT_MS, REQUEST_TIMEOUT_MS } from './deadline.ts';
import { patchKafkajs } from './kafkajs-patches.ts';

/** How to reach the brokers. */
export interface KafkaConnectionOptions {
  /** `host:port` of some brokers; the others are learned from them. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly ssl?: tls.ConnectionOptions | boolean | undefined;
  readonly sasl?: SASLOptions | undefined;
  readonly logger: Logger;
}

/** One `Kafka` instance with the sockets it has opened. Whoever creates it destroys it. */
export interface KafkaClient {
  readonly kafka: Kafka;
  /** Closes its sockets at once and lets it open no more: whatever still runs in it fails. Idempotent. */
  destroy(): void;
}

const KEEP_ALIVE_MS = 30_000;

/**
 * `retry` governs connecting and finding brokers; `{ retries: 0 }` leaves retrying to the caller. Each producer,
 * consumer and admin gets a client of its own: kafkajs shares committed offsets among those of one `Kafka`.
 */
export function createKafkaClient(options: KafkaConnectionOptions, retry: RetryOptions): KafkaClient {
  patchKafkajs();
  const sockets = new Set<net.Socket>();
  let destroyed = false;
  const { ssl, sasl, logger } = options;
  const kafka = new Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry,
    // The adapter reports what matters itself; kafkajs repeats each error several times.
    logLevel: logger.isLevelEnabled('debug') ? logLevel.WARN : logLevel.NOTHING,
    logCreator: () => (entry) => logger.debug({ kafkajs: entry.namespace }, entry.log.message),
    socketFactory: (args) => {
      if (destroyed) throw new Error('this client was destroyed');
      return trackedSocket(args, sockets);
    },
  });
  const destroy = (): void => {
    destroyed = true;
    // kafkajs listens for 'error' and 'end' but not for 'close': without an error its requests would hang.
    for (const socket of sockets) socket.destroy(new Error('this client was destroyed'));
  };
  return { kafka, destroy };
}

function trackedSocket(args: ISocketFactoryArgs, sockets: Set<net.Socket>): net.Socket {
  const { host, port, ssl, onConnect } = args;
  const servername = net.isIP(host) === 0 ? { servername: host } : {};
  const socket = ssl
    ? tls.connect({ host, port, ...servername, ...ssl }, onConnect)
    : net.connect({ host, port }, onConnect);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  // kafkajs unrefs a socket each time it finds it dead, for which Node suspects a leak of listeners.
  socket.setMaxListeners(0);
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  return socket;
}
