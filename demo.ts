import { createServer } from 'node:net';
import { join, relative } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { Config } from './config/schema.ts';
import { createLogger } from './logging.ts';
import { openPipeline, type Pipeline, ROLES } from './pipeline.ts';
import { createQueryCommand } from './query/query-command.ts';
import { aborted, stopSignal } from './serve.ts';
import { simulate } from './simulator/simulate.ts';
import type { SimulateOptions } from './simulator/simulate-options.ts';
import { formatVerdict } from './simulator/verdict/verdict-text.ts';

export interface DemoDependencies {
  load(): Config;
  write(text: string): void;
  readonly isTerminal: boolean;
}

interface DemoOptions {
  readonly once?: boolean;
  readonly folder?: string;
  readonly devices: number;
  readonly rate: number;
  readonly seconds: number;
}

const EXIT_DIFFERENT = 1;

/** `sluice demo`: the whole pipeline in one process on embedded storage, a fleet and a recorded sensor to feed it. */
export function createDemoCommand(dependencies: DemoDependencies): Command {
  return new Command('demo')
    .description(
      'run the whole pipeline on embedded storage, send it a small fleet and a recorded sensor, and check the result',
    )
    .option('--once', 'end after the verdict (default: stay up until Ctrl-C)')
    .option('--folder <path>', 'data folder (default: "demo" in dataFolder)')
    .option('--devices <n>', 'devices of the fleet', parseCount, 50)
    .option('--rate <r>', 'messages per second of the fleet', parseCount, 200)
    .option('--seconds <n>', 'how long the fleet sends', parseCount, 20)
    .addHelpText('after', '\nExit code 0: everything acknowledged is in the aggregates. 1: it is not.')
    .action(async (options: DemoOptions) => {
      process.exitCode = await runDemo(options, dependencies);
    });
}

async function runDemo(options: DemoOptions, dependencies: DemoDependencies): Promise<number> {
  const { write } = dependencies;
  const config = await demoConfig(dependencies.load(), options.folder);
  const logger = createLogger({ level: 'warn', format: 'auto' }, process.stderr.isTTY);
  const stop = stopSignal(logger);
  const pipeline = await openPipeline(config, ROLES, logger, stop);
  try {
    write(`Sluice is up, on embedded storage in ${relative('.', config.dataFolder) || '.'}\n`);
    write(`  devices publish to  ${pipeline.mqttUrl}  on  ${config.gateway.topicTemplate}\n`);
    write(`  query API           ${pipeline.httpUrl}\n\n`);
    const isEqual = await feed(options, pipeline, dependencies, stop);
    if (options.once !== true && !stop.aborted) {
      write(`\nStill up: query API at ${pipeline.httpUrl}, MQTT at ${pipeline.mqttUrl}. Ctrl-C ends it.\n`);
      await aborted(stop);
    }
    return isEqual ? 0 : EXIT_DIFFERENT;
  } finally {
    await pipeline.close();
  }
}

/** Sends the fleet and the recording, prints both verdicts and a query of each. */
async function feed(
  { devices, rate, seconds }: DemoOptions,
  { mqttUrl = '', httpUrl }: Pipeline,
  { write, isTerminal }: DemoDependencies,
  stop: AbortSignal,
): Promise<boolean> {
  const runId = Date.now().toString(36);
  const run = async (title: string, source: SimulateOptions['source']) => {
    write(`${title}\n`);
    const verdict = await simulate({ mqttUrl, apiUrl: httpUrl, source, runId }, { write, isTerminal }, stop);
    write(`${formatVerdict(verdict)}\n`);
    return verdict.ok;
  };
  const query = async (...words: readonly string[]) => {
    write(`$ sluice query ${words.join(' ')}\n`);
    const command = createQueryCommand({ defaultUrl: () => httpUrl, write, isTerminal });
    await command.parseAsync([...words], { from: 'user' });
    write('\n');
  };
  const isFleetEqual = await run(`1. A fleet of ${devices} simulated devices for ${seconds} s`, {
    kind: 'fleet',
    profile: 'mixed',
    devices,
    rate,
    durationMs: seconds * 1_000,
  });
  if (stop.aborted) return isFleetEqual;
  const isReplayEqual = await run(
    '2. A recorded office sensor: 7,267 hourly readings, one minute apart, the last one now',
    {
      kind: 'replay',
      file: 'nab',
    },
  );
  if (stop.aborted) return isFleetEqual && isReplayEqual;
  await query(
    'humidity',
    '--last',
    '3m',
    '--every',
    '1m',
    '--group-by',
    'none',
    '--agg',
    'count,mean,min,max',
  );
  await query(
    'temperature',
    '--device',
    `replay-${runId}-0`,
    '--last',
    '4h',
    '--every',
    '1h',
    '--agg',
    'count,mean,p95,max',
  );
  return isFleetEqual && isReplayEqual;
}

/** Embedded engines in a folder of the demo's own; ports that are taken give way to free ones. */
async function demoConfig(config: Config, folder: string | undefined): Promise<Config> {
  const { topicPrefix, partitions, retention, quarantineRetention, appendTimeout, maxPendingBytes } =
    config.eventLog;
  const { gateway, api } = config;
  return {
    ...config,
    dataFolder: folder ?? join(config.dataFolder, 'demo'),
    eventLog: {
      kind: 'embedded',
      topicPrefix,
      partitions,
      retention,
      quarantineRetention,
      appendTimeout,
      maxPendingBytes,
    },
    metricStore: { kind: 'embedded', retention: config.metricStore.retention },
    gateway: { ...gateway, port: await portOrFree(gateway.host, gateway.port) },
    api: { ...api, port: await portOrFree(api.host, api.port) },
  };
}

/** The port if it can be listened on, else 0, which takes a free one. */
function portOrFree(host: string, port: number): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(0));
    server.listen(port, host, () => server.close(() => resolve(port)));
  });
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new InvalidArgumentError('expected a whole number of at least 1');
  return count;
}
