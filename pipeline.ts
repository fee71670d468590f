import { join } from 'node:path';
import type { Logger } from 'pino';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { type Config, foldConfigOf } from './config/schema.ts';
import { openEmbeddedEventLog } from './event-log/embedded/embedded-event-log.ts';
import type { EventLog } from './event-log/event-log.ts';
import { openKafkaEventLog } from './event-log/kafka/kafka-event-log.ts';
import { type TopicSpec, topicNames } from './event-log/topics.ts';
import { type GatewayLimits, largestQuarantineRecordBytes, openGateway } from './gateway/gateway.ts';
import { resolveLimits } from './gateway/limits.ts';
import { openEmbeddedMetricStore } from './metric-store/embedded/embedded-metric-store.ts';
import { openInfluxMetricStore } from './metric-store/influxdb/influxdb-metric-store.ts';
import type { MetricStore } from './metric-store/metric-store.ts';
import type { Resolution } from './metric-store/resolutions.ts';
import { openProcessor } from './processors/processor.ts';
import { openApi, openOperations } from './query/api.ts';

type KafkaSasl = NonNullable<Extract<Config['eventLog'], { kind: 'kafka' }>['sasl']>;

export const ROLES = ['gateway', 'processor', 'api'] as const;
export type Role = (typeof ROLES)[number];

/** A running set of roles. */
export interface Pipeline {
  /** Address of MQTT, where this process has the gateway role. */
  readonly mqttUrl: string | undefined;
  /** Address of the query API, or of health and metrics where this process has no API role. */
  readonly httpUrl: string;
  /** Stops source-first: refuse devices, drain, commit, close the stores. Idempotent. */
  close(): Promise<void>;
}

/** Opens the roles sink-first in this process. What was opened is closed again when a later part fails. */
export async function openPipeline(
  config: Config,
  roles: readonly Role[],
  logger: Logger,
  signal?: AbortSignal,
): Promise<Pipeline> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const parts = new Parts(logger);
  try {
    return await openParts(parts, { config, roles, logger, registry, signal });
  } catch (error) {
    await parts.close();
    throw error;
  }
}

interface Context {
  readonly config: Config;
  readonly roles: readonly Role[];
  readonly logger: Logger;
  readonly registry: Registry;
  readonly signal: AbortSignal | undefined;
}

async function openParts(parts: Parts, context: Context): Promise<Pipeline> {
  const { config, roles, logger, registry } = context;
  const topics = topicNames(config.eventLog.topicPrefix);
  const checks: HealthCheck[] = [];
  const storeNeeded = roles.includes('processor') || roles.includes('api');
  const logNeeded = roles.includes('gateway') || roles.includes('processor');
  const store = storeNeeded
    ? parts.add('metric store', await openMetricStore(config, logger, context.signal))
    : undefined;
  const log = logNeeded
    ? parts.add('event log', await openEventLog(config, logger, context.signal))
    : undefined;
  if (store !== undefined) checks.push({ name: 'metric-store', check: () => store.ping() });
  if (log !== undefined) checks.push({ name: 'event-log', check: () => log.ping() });

  if (roles.includes('processor') && store !== undefined && log !== undefined) {
    const processor = parts.add(
      'processor',
      await openProcessor({ log, store, topics, ...processorOptions(context) }),
    );
    checks.push({ name: 'processor', check: async () => failWith(processor.failing()) });
  }
  const health = () => runChecks(checks);
  const http =
    roles.includes('api') && store !== undefined
      ? await openApi({
          store,
          resolutions: resolutionsOf(config),
          graceMs: config.processor.grace,
          ...config.api,
          registry,
          logger,
          health,
          clock: Date.now,
        })
      : await openOperations({ ...config.operations, registry, logger, health });
  parts.add('http', http);

  let mqttUrl: string | undefined;
  if (roles.includes('gateway') && log !== undefined) {
    const { host, port, topicTemplate } = config.gateway;
    const limits = gatewayLimits(config);
    const gateway = parts.add(
      'gateway',
      await openGateway({
        log,
        topics,
        host,
        port,
        topicTemplate,
        limits,
        logger,
        registry,
        clock: Date.now,
      }),
    );
    checks.push({ name: 'gateway', check: async () => failWith(gateway.ready().reason) });
    mqttUrl = `mqtt://${host}:${gateway.port}`;
  }
  return { mqttUrl, httpUrl: http.url, close: () => parts.close() };
}

/** The event log that the configuration names. */
export function openEventLog(config: Config, logger: Logger, signal?: AbortSignal): Promise<EventLog> {
  const { eventLog, dataFolder } = config;
  const { appendTimeout: appendTimeoutMs, maxPendingBytes } = eventLog;
  const topics = topicSpecs(config);
  const common = { topics, appendTimeoutMs, maxPendingBytes, logger };
  if (eventLog.kind === 'embedded')
    return openEmbeddedEventLog({ ...common, folder: join(dataFolder, 'event-log') });
  const { brokers, clientId, replicationFactor, ssl, sasl } = eventLog;
  return openKafkaEventLog({
    ...common,
    checkpointTopic: topicNames(eventLog.topicPrefix).checkpoints,
    brokers,
    clientId,
    ssl,
    ...(replicationFactor === undefined ? {} : { replicationFactor }),
    ...(sasl === undefined ? {} : { sasl: saslOf(sasl) }),
    ...(signal === undefined ? {} : { signal }),
  });
}

function saslOf({ mechanism, username, password = '' }: KafkaSasl) {
  return { mechanism, username, password };
}

function topicSpecs(config: Config): TopicSpec[] {
  const { topicPrefix, partitions, retention, quarantineRetention } = config.eventLog;
  const names = topicNames(topicPrefix);
  const maxRecordBytes = Math.max(
    1_048_576,
    largestQuarantineRecordBytes(resolveLimits(gatewayLimits(config))),
  );
  return [
    { name: names.telemetry, partitions, retentionMs: retention, maxRecordBytes },
    { name: names.quarantine, partitions, retentionMs: quarantineRetention, maxRecordBytes },
  ];
}

function gatewayLimits({ gateway, eventLog }: Config): Partial<GatewayLimits> {
  const { maxPayloadBytes, maxMetrics, maxConnections } = gateway;
  // The log gives up first, so that its reason is the one that is logged.
  const appendDeadlineMs = eventLog.appendTimeout + 5_000;
  return { maxPayloadBytes, maxMetrics, maxConnections, appendDeadlineMs };
}

/** The metric store that the configuration names. */
export function openMetricStore(config: Config, logger: Logger, signal?: AbortSignal): Promise<MetricStore> {
  const { metricStore, dataFolder } = config;
  const resolutions = resolutionsOf(config);
  if (metricStore.kind === 'embedded') {
    return openEmbeddedMetricStore({ folder: join(dataFolder, 'metric-store'), resolutions, logger });
  }
  const { url, database, username, password, requestTimeout: requestTimeoutMs } = metricStore;
  return openInfluxMetricStore({
    url,
    database,
    resolutions,
    requestTimeoutMs,
    logger,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** The window sizes that the store keeps, and for how long. */
export function resolutionsOf({ processor, metricStore }: Config): Resolution[] {
  return processor.windows.map((resolutionMs, index) => {
    const retentionMs = metricStore.retention[index];
    return { resolutionMs, ...(retentionMs === undefined ? {} : { retentionMs }) };
  });
}

function processorOptions({ config, logger, registry }: Context) {
  const { group, checkpointInterval, maxConcurrentWrites, maxRowsPerWrite } = config.processor;
  return {
    group,
    fold: foldConfigOf(config.processor),
    checkpointIntervalMs: checkpointInterval,
    maxConcurrentWrites,
    maxRowsPerWrite,
    logger,
    registry,
    clock: Date.now,
  };
}

interface HealthCheck {
  readonly name: string;
  check(): Promise<void>;
}

async function runChecks(checks: readonly HealthCheck[]) {
  const results = await Promise.all(
    checks.map(async ({ name, check }) => {
      try {
        await check();
        return { name, ok: true };
      } catch (error) {
        return { name, ok: false, reason: error instanceof Error ? error.message : String(error) };
      }
    }),
  );
  return { ok: results.every(({ ok }) => ok), checks: results };
}

function failWith(reason: string | undefined): void {
  if (reason !== undefined) throw new Error(reason);
}

/** What has been opened, to be closed in the opposite order. */
class Parts {
  readonly #logger: Logger;
  readonly #opened: { readonly name: string; close(): Promise<void> }[] = [];
  #closing: Promise<void> | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add<T extends { close(): Promise<void> }>(name: string, part: T): T {
    this.#opened.push({ name, close: () => part.close() });
    return part;
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    for (const { name, close } of this.#opened.toReversed()) {
      try {
        await close();
      } catch (error) {
        this.#logger.error({ err: error }, `closing the ${name} failed`);
      }
    }
  }
}
