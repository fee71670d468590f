import { z } from 'zod';
import { type FoldConfig, maxForcedCloses } from '../processors/fold-config.ts';
import { formatDuration, parseDuration } from '../query/duration.ts';

/** A duration such as `10s` or `1h30m`; milliseconds once parsed. */
const duration = z
  .string({ error: 'expected a duration such as "10s" or "1h30m"' })
  .transform((text, context) => {
    try {
      return parseDuration(text);
    } catch {
      context.addIssue({ code: 'custom', message: 'expected a duration such as "10s" or "1h30m"' });
      return z.NEVER;
    }
  });

const port = z.int().min(0).max(65_535);
const bytes = z.int().min(1);
const count = z.int().min(1);

const logCommon = {
  topicPrefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,100}$/, 'expected 1 to 100 of A-Z a-z 0-9 . _ -')
    .default('sluice')
    .describe(
      'Topics are named `<prefix>.telemetry`, `<prefix>.quarantine` and, on Kafka, `<prefix>.checkpoints`.',
    ),
  partitions: z
    .int()
    .min(1)
    .max(1_024)
    .default(12)
    .describe(
      'Partitions of each topic; bounds how many processors can share the work. Fixed once topics exist.',
    ),
  retention: duration.prefault('7d').describe('How long telemetry stays in the log.'),
  quarantineRetention: duration.prefault('30d').describe('How long quarantined payloads stay in the log.'),
  appendTimeout: duration
    .prefault('10s')
    .describe(
      'A message that is not durable after this long is given up: its device is disconnected and sends it again.',
    ),
  maxPendingBytes: bytes
    .default(67_108_864)
    .describe('Bytes that may wait to become durable in one process.'),
};

const eventLog = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('embedded').describe('LMDB files in the data folder; one process.'),
    ...logCommon,
  }),
  z.strictObject({
    kind: z.literal('kafka').describe('Apache Kafka 3.x or 4.x.'),
    ...logCommon,
    brokers: z
      .array(z.string().regex(/^[^\s:]+:\d+$/, 'expected host:port'))
      .min(1)
      .describe('Bootstrap brokers, `host:port`.'),
    clientId: z.string().min(1).default('sluice').describe('Name that the brokers see.'),
    replicationFactor: z
      .int()
      .min(1)
      .optional()
      .describe(
        'Replicas of topics that Sluice creates; without it 3, or as many as there are brokers. State it for a cluster.',
      ),
    ssl: z.boolean().default(false).describe('Connect with TLS.'),
    sasl: z
      .strictObject({
        mechanism: z
          .enum(['plain', 'scram-sha-256', 'scram-sha-512'])
          .describe('SASL mechanism, where the brokers ask for a log-in.'),
        username: z.string().min(1).describe('SASL user.'),
        password: z.string().min(1).optional().describe('From the environment only.'),
        passwordFile: z.string().min(1).optional().describe('File that holds the SASL password.'),
      })
      .optional()
      .describe('SASL log-in. The password comes from the environment or from `passwordFile`.'),
  }),
]);

const storeCommon = {
  retention: z
    .array(duration)
    .min(1)
    .prefault(['30d', '180d', '1095d'])
    .describe('How long aggregates are kept, for each of `processor.windows`. At least `processor.maxAge`.'),
};

const metricStore = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('embedded').describe('A DuckDB file in the data folder; one process.'),
    ...storeCommon,
  }),
  z.strictObject({
    kind: z.literal('influxdb').describe('InfluxDB 1.x.'),
    ...storeCommon,
    url: z
      .url({ protocol: /^https?$/, error: 'expected an http:// or https:// address' })
      .describe('Address of InfluxDB.'),
    database: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 of A-Z a-z 0-9 _ -')
      .default('sluice')
      .describe('Database; created when missing.'),
    username: z.string().optional().describe('User, where InfluxDB has authentication on.'),
    password: z.string().optional().describe('From the environment only.'),
    passwordFile: z.string().optional().describe('File that holds the password.'),
    requestTimeout: duration.prefault('10s').describe('Deadline of one request.'),
  }),
]);

const gateway = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
  port: port.default(1883).describe('MQTT port; 0 takes a free one.'),
  topicTemplate: z
    .string()
    .regex(/^([^#+{}]*)\{deviceId\}([^#+{}]*)$/, 'expected a topic with {deviceId} once and no wildcards')
    .default('devices/{deviceId}/telemetry')
    .describe('Where devices publish.'),
  maxPayloadBytes: bytes.default(65_536).describe('Largest payload; larger ones are quarantined.'),
  maxMetrics: count.default(100).describe('Most metrics in one message.'),
  maxConnections: count.default(20_000).describe('Connections beyond this are closed at once.'),
});

const processor = z.strictObject({
  group: z
    .string()
    .min(1)
    .max(100)
    .default('sluice')
    .describe('Consumer group; a new name folds the whole log again.'),
  windows: z
    .array(duration)
    .min(1)
    .max(6)
    .prefault(['10s', '1m', '1h'])
    .describe(
      'Window sizes, finest first, each a multiple of the one before; a coarser one is merged from the finer.',
    ),
  grace: duration.prefault('2s').describe('How long after its end a window stays open for readings on time.'),
  maxAhead: duration.prefault('1m').describe('Readings further ahead of log time are quarantined.'),
  maxAge: duration
    .prefault('7d')
    .describe('Older readings are quarantined; younger late ones correct their window.'),
  maxOpenAggregates: count
    .default(500_000)
    .describe('Open aggregates per partition, of all window sizes; messages that need more are quarantined.'),
  maxConcurrentWrites: z.int().min(1).max(64).default(4).describe('Writes to the metric store at once.'),
  maxRowsPerWrite: z.int().min(1).max(50_000).default(5_000).describe('Rows in one write.'),
  maxDevices: count
    .default(100_000)
    .describe('Devices known per partition; messages of further ones are quarantined.'),
  checkpointInterval: duration
    .prefault('10s')
    .describe('Time between checkpoints; what was folded since the last one is folded again after a crash.'),
});

const address = (defaultPort: number, what: string) =>
  z.strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
    port: port.default(defaultPort).describe(`${what}; 0 takes a free one.`),
  });

/** The whole configuration. Every key is optional; unknown keys are refused. */
export const configSchema = z.strictObject({
  dataFolder: z.string().min(1).default('sluice-data').describe('Folder of the embedded engines.'),
  eventLog: eventLog.prefault({ kind: 'embedded' }),
  metricStore: metricStore.prefault({ kind: 'embedded' }),
  gateway: gateway.prefault({}),
  processor: processor.prefault({}),
  api: address(8080, 'HTTP port of the query API').prefault({}),
  operations: address(9090, 'HTTP port of health and metrics of a role that has no query API').prefault({}),
  logging: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info')
        .describe('Least severe level logged.'),
      format: z
        .enum(['auto', 'text', 'json'])
        .default('auto')
        .describe('`auto` is text on a terminal and JSON elsewhere.'),
    })
    .prefault({}),
});

/** The configuration as the program uses it: durations in ms, defaults filled in. */
export type Config = z.infer<typeof configSchema>;

/** Keys that may not stand in a configuration file, with the key that may. */
export const SECRET_KEYS = {
  'eventLog.sasl.password': 'eventLog.sasl.passwordFile',
  'metricStore.password': 'metricStore.passwordFile',
} as const;

/** What holds between keys. Returns the broken rules, each naming the keys and the fix. */
export function brokenRules({ processor, metricStore: { retention } }: Config): string[] {
  const { windows } = processor;
  const broken: string[] = [];
  if (retention.length !== windows.length) {
    broken.push(
      `metricStore.retention has ${retention.length} duration(s) and processor.windows ${windows.length}: give one retention for each window size`,
    );
  }
  for (const kept of retention)
    if (kept < processor.maxAge) broken.push(retentionTooShort(kept, processor.maxAge));
  for (const [index, window] of windows.entries()) {
    const finer = windows[index - 1];
    if (finer !== undefined && (window <= finer || window % finer !== 0)) {
      broken.push(
        `processor.windows: ${formatDuration(window)} is no multiple of ${formatDuration(finer)}, the window size before it`,
      );
    }
    if (window < 100)
      broken.push(`processor.windows: ${formatDuration(window)} is too short; at least 100ms`);
  }
  const [finest = 0] = windows;
  if (foldConfigOf(processor).windowsMs.some((size) => maxForcedCloses(foldConfigOf(processor), size) < 1)) {
    broken.push(
      `processor.maxAge (${formatDuration(processor.maxAge)}) is too long for windows of ${formatDuration(finest)}: late panes are numbered within a window's microseconds; use longer windows or a shorter maxAge`,
    );
  }
  return broken;
}

function retentionTooShort(kept: number, maxAge: number): string {
  return `metricStore.retention (${formatDuration(kept)}) is shorter than processor.maxAge (${formatDuration(maxAge)}): late readings would be deleted at once; raise the first or lower the second`;
}

/** The processor's settings that shape the fold. */
export function foldConfigOf(processor: Config['processor']): FoldConfig {
  const { windows, grace, maxAhead, maxAge, maxOpenAggregates, maxDevices } = processor;
  return {
    windowsMs: windows,
    graceMs: grace,
    maxAheadMs: maxAhead,
    maxAgeMs: maxAge,
    maxOpenAggregates,
    maxDevices,
  };
}
