import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { connectAsync } from 'mqtt';
import { pino } from 'pino';
import { expect, onTestFinished } from 'vitest';
import { z } from 'zod';
import { type Config, configSchema } from './config/schema.ts';
import { partitionOf } from './event-log/partition.ts';
import { openPipeline, type Pipeline, ROLES } from './pipeline.ts';
import { createQuarantineCommand, type QuarantineDependencies } from './quarantine.ts';

const PARTITIONS = 4;
export const HOUR_MS = 3_600_000;
export const PATIENCE = { timeout: 20_000, interval: 50 };

type Changes = Readonly<Record<'gateway' | 'processor', Readonly<Record<string, unknown>>>>;

/** A pipeline's storage: the pipeline runs over it, or a command. */
export class Site {
  readonly #dataFolder: string;
  readonly #eventLog: Readonly<Record<string, unknown>>;
  #config: Config;

  private constructor(dataFolder: string, eventLog: Readonly<Record<string, unknown>>) {
    this.#dataFolder = dataFolder;
    this.#eventLog = eventLog;
    this.#config = this.#parse({});
  }

  /** On an embedded event log unless another is given. */
  static async open(eventLog: Readonly<Record<string, unknown>> = { kind: 'embedded' }): Promise<Site> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-quarantine-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    return new Site(folder, eventLog);
  }

  /** Changes settings for whatever is started next. */
  configure(changes: Partial<Changes>): void {
    this.#config = this.#parse(changes);
  }

  #parse({ gateway, processor }: Partial<Changes>): Config {
    return configSchema.parse({
      dataFolder: this.#dataFolder,
      eventLog: { partitions: PARTITIONS, ...this.#eventLog },
      metricStore: { kind: 'embedded', retention: ['30d'] },
      gateway: { port: 0, ...gateway },
      processor: { windows: ['200ms'], grace: '100ms', maxAge: '1h', ...processor },
      api: { port: 0 },
      logging: { level: 'silent' },
    });
  }

  /** Runs the pipeline for as long as the action takes. */
  async running(action: (pipeline: Pipeline) => Promise<void>): Promise<void> {
    const pipeline = await openPipeline(this.#config, ROLES, pino({ level: 'silent' }));
    try {
      await action(pipeline);
    } finally {
      await pipeline.close();
    }
  }

  /** Runs `sluice quarantine <words>`. */
  async run(words: string, changes: Partial<QuarantineDependencies> = {}) {
    let out = '';
    let err = '';
    const write = (text: string) => {
      out += text;
    };
    const load = () => this.#config;
    const stop = new AbortController().signal;
    const root = createQuarantineCommand({ load, write, stop, isTerminal: false, ...changes });
    const writeErr = (text: string) => {
      err += text;
    };
    for (const command of [root, ...root.commands])
      command.exitOverride().configureOutput({ writeErr, writeOut: write });
    try {
      await root.parseAsync(words.split(' '), { from: 'user' });
      return { exitCode: 0, out, err };
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error;
      return { exitCode: error.exitCode, out, err };
    }
  }

  /** Ids of quarantined events by reason, in order of their time. */
  async ids(reason: string): Promise<string[]> {
    const { out } = await this.run(`list --format json --reason ${reason}`);
    const { events } = z.object({ events: z.array(z.object({ id: z.string() })) }).parse(JSON.parse(out));
    return events.map(({ id }) => id);
  }
}

/** Publishes with QoS 1 and waits for every acknowledgement. */
export async function publish(
  { mqttUrl = '' }: Pipeline,
  messages: readonly (readonly [string, string])[],
): Promise<void> {
  const client = await connectAsync(mqttUrl, { clientId: 'plant', reconnectPeriod: 0 });
  for (const [topic, payload] of messages) await client.publishAsync(topic, payload, { qos: 1 });
  await client.endAsync();
}

export async function quarantined(pipeline: Pipeline): Promise<number> {
  const text = await (await fetch(`${pipeline.httpUrl}/metrics`)).text();
  const lines = text.matchAll(/^sluice_processor_quarantined_messages_total\{.*\} (\d+)$/gm);
  return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
}

const answer = z.object({
  series: z.array(z.object({ buckets: z.array(z.object({ count: z.number() }).catchall(z.number())) })),
});

/** How often a metric was counted within a range of event time, ms since the epoch. */
export async function counted(
  { httpUrl }: Pipeline,
  metric: string,
  { from = Date.now() - 20 * HOUR_MS, to = Date.now() + HOUR_MS } = {},
): Promise<number> {
  const range = `from=${from}&to=${to}&groupBy=none&resolution=finest`;
  const response = await fetch(`${httpUrl}/api/v1/query?metric=${metric}&agg=count&${range}`);
  const { series } = answer.parse(await response.json());
  return series[0]?.buckets[0]?.count ?? 0;
}

/** Sends a reading and waits until it is stored: everything before it of its device is folded by then. */
export async function sendAndSettle(pipeline: Pipeline, mqttTopic: string, mark: string): Promise<void> {
  await publish(pipeline, [[mqttTopic, `{"${mark}":1}`]]);
  await expect.poll(() => counted(pipeline, mark), PATIENCE).toBe(1);
}

/** Another device of the same partition. */
export function neighbourOf(deviceId: string): string {
  const partition = partitionOf(deviceId, PARTITIONS);
  for (let n = 0; ; n++) {
    if (partitionOf(`device-${n}`, PARTITIONS) === partition) return `device-${n}`;
  }
}

export const telemetryOf = (deviceId: string) => `devices/${deviceId}/telemetry`;
