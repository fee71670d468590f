import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { createConfigCommand } from './config/config-command.ts';
import type { Config } from './config/schema.ts';
import { type LoadedConfig, loadConfig } from './config.ts';
import { createDemoCommand } from './demo.ts';
import { createLogger } from './logging.ts';
import type { Role } from './pipeline.ts';
import { createQuarantineCommand } from './quarantine.ts';
import { createDevicesCommand, createMetricsCommand, createQueryCommand } from './query/query-command.ts';
import { createRecomputeCommands } from './recompute.ts';
import { serve } from './serve.ts';
import { createSimulateCommand } from './simulator/simulate-command.ts';

const ROLE_COMMANDS: readonly { name: string; roles: readonly Role[]; description: string }[] = [
  { name: 'start', roles: ['gateway', 'processor', 'api'], description: 'run all roles in this process' },
  {
    name: 'gateway',
    roles: ['gateway'],
    description: 'accept devices over MQTT (needs eventLog.kind: kafka)',
  },
  {
    name: 'processor',
    roles: ['processor'],
    description: 'fold telemetry into aggregates (needs Kafka and InfluxDB)',
  },
  { name: 'api', roles: ['api'], description: 'answer queries over HTTP (needs metricStore.kind: influxdb)' },
];

/** The command line of `sluice`. Parsing it runs a command, which leaves its exit code in `process.exitCode`. */
export function createProgram(): Command {
  const program = new Command('sluice')
    .description('IoT telemetry pipeline: MQTT devices -> durable log -> windowed aggregates -> queries')
    .version(packageVersion())
    .option('--config <file>', 'configuration file (default: sluice.yaml where it exists)')
    .showHelpAfterError('(--help lists what can be given)');
  const loadAll = (): LoadedConfig => loadConfig(program.opts<{ config?: string }>().config, process.env);
  const load = (): Config => loadAll().config;

  for (const { name, roles, description } of ROLE_COMMANDS) {
    program
      .command(name)
      .description(description)
      .action(async () => {
        const config = load();
        process.exitCode = await serve(config, roles, createLogger(config.logging, process.stderr.isTTY));
      });
  }
  const output = {
    write: (text: string) => void process.stdout.write(text),
    isTerminal: process.stdout.isTTY,
  };
  const asking = { ...output, defaultUrl: () => apiUrlOf(load()) };
  for (const command of createRecomputeCommands({ ...output, load })) program.addCommand(command);
  const addresses = () => ({ mqttUrl: mqttUrlOf(load()), apiUrl: apiUrlOf(load()) });
  return program
    .addCommand(createDemoCommand({ ...output, load }))
    .addCommand(createQueryCommand(asking))
    .addCommand(createDevicesCommand(asking))
    .addCommand(createMetricsCommand(asking))
    .addCommand(createSimulateCommand({ ...output, defaults: addresses }))
    .addCommand(createQuarantineCommand({ ...output, load }))
    .addCommand(createConfigCommand({ ...output, load: loadAll }));
}

function apiUrlOf({ api }: Config): string {
  return `http://${reachable(api.host)}:${api.port}`;
}

function mqttUrlOf({ gateway }: Config): string {
  return `mqtt://${reachable(gateway.host)}:${gateway.port}`;
}

/** A listening address as a client on this machine reaches it. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

/** From package.json, which lies one folder further up once compiled. */
function packageVersion(): string {
  const folder = import.meta.url.endsWith('.ts') ? './' : '../';
  return JSON.parse(readFileSync(new URL(`${folder}package.json`, import.meta.url), 'utf8')).version;
}
