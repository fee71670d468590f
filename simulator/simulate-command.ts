import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from './duration.ts';
import { SimulatorError, SimulatorOptionError } from './errors.ts';
import type { QoS } from './fleet/device-link.ts';
import { PROFILE_NAMES, type ProfileName } from './fleet-workload.ts';
import type { SimulateOutput } from './progress.ts';
import { simulate } from './simulate.ts';
import type { FleetSource, ReplaySource, SimulateOptions } from './simulate-options.ts';
import { formatVerdict } from './verdict/verdict-text.ts';

export interface SimulateCommandDependencies extends SimulateOutput {
  /** Where the pipeline is, unless options say so. Called only when one is missing. */
  defaults(): { readonly mqttUrl: string; readonly apiUrl: string };
}

/** Options as commander hands them over. */
interface Flags {
  readonly url?: string;
  readonly api?: string;
  readonly profile: ProfileName;
  readonly devices: number;
  readonly rate?: number;
  readonly duration: number;
  readonly replay?: string;
  readonly metric?: string;
  readonly compress?: number;
  readonly batch?: number;
  readonly qos: QoS;
  readonly seed: number;
  readonly runId?: string;
  readonly inFlight: number;
  readonly drainTimeout: number;
  readonly settleTimeout: number;
  readonly allowDuplicates?: boolean;
  readonly json?: string;
}

const DEFAULT_FLEET_RATE = 500;
/** Ended by a second Ctrl-C, as shells report it. */
const INTERRUPTED = 130;

/**
 * `sluice simulate`. Exit code 0: everything acknowledged is in the aggregates. 1: it is not, or they differ.
 * 2: options, connections or files that cannot be used.
 */
export function createSimulateCommand(dependencies: SimulateCommandDependencies): Command {
  const command = new Command('simulate')
    .description(
      'send telemetry as a fleet of devices, and check every acknowledged reading in the aggregates',
    )
    .option('--url <url>', 'MQTT server, mqtt://host:port (default: as configured)')
    .option('--api <url>', 'query API, http://host:port (default: as configured)');
  for (const option of [...sourceOptions(), ...runOptions()]) command.addOption(option);
  command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));
  return command.action(async (flags: Flags) => {
    process.exitCode = await run(command, flags, dependencies);
  });
}

function sourceOptions(): Option[] {
  return [
    new Option('--profile <name>', 'kind of devices').choices(PROFILE_NAMES).default('mixed'),
    new Option('--devices <n>', 'number of devices').argParser(parseNumber).default(100),
    new Option(
      '--rate <r>',
      `messages per second in all (default: ${DEFAULT_FLEET_RATE}, of a replay 1000)`,
    ).argParser(parseNumber),
    new Option('--duration <time>', 'how long to send').argParser(parseTime).default(30_000, '30s'),
    new Option(
      '--replay <file>',
      'send a CSV file (timestamp,value) as one device; "nab" for the bundled one',
    ).conflicts(['profile', 'devices', 'duration']),
    new Option('--metric <name>', 'metric of a replay (default: temperature for nab, else value)'),
    new Option(
      '--compress <factor>',
      'divide the spacing of a replay (default: so that it spans < 6 days)',
    ).argParser(parseNumber),
    new Option('--batch <n>', 'readings per message of a replay (default: 1)').argParser(parseNumber),
  ];
}

function runOptions(): Option[] {
  return [
    new Option('--qos <level>', '0, 1 or 2').argParser(parseQos).default(1),
    new Option('--seed <n>', 'what values and times derive from').argParser(parseNumber).default(1),
    new Option('--run-id <id>', 'part of the device ids (default: derived from the time)'),
    new Option('--in-flight <n>', 'unacknowledged messages per device, at most')
      .argParser(parseNumber)
      .default(100),
    new Option('--drain-timeout <time>', 'wait for acknowledgements')
      .argParser(parseTime)
      .default(60_000, '60s'),
    new Option('--settle-timeout <time>', 'wait for the aggregates')
      .argParser(parseTime)
      .default(90_000, '90s'),
    new Option('--allow-duplicates', 'permit that messages delivered twice count twice'),
    new Option('--json <file>', 'write the verdict as JSON too'),
  ];
}

async function run(
  command: Command,
  flags: Flags,
  dependencies: SimulateCommandDependencies,
): Promise<number> {
  const interruption = catchInterrupts(dependencies);
  try {
    const verdict = await simulate(optionsOf(flags, dependencies), dependencies, interruption.signal);
    dependencies.write(formatVerdict(verdict));
    if (flags.json !== undefined) await writeVerdict(flags.json, verdict);
    return verdict.ok ? 0 : 1;
  } catch (error) {
    if (error instanceof SimulatorError) command.error(`sluice simulate: ${error.message}`, { exitCode: 2 });
    throw error;
  } finally {
    interruption.release();
  }
}

function optionsOf(flags: Flags, { defaults }: SimulateCommandDependencies): SimulateOptions {
  const { url, api } = flags;
  const { mqttUrl, apiUrl } =
    url !== undefined && api !== undefined ? { mqttUrl: url, apiUrl: api } : defaults();
  return {
    mqttUrl: url ?? mqttUrl,
    apiUrl: api ?? apiUrl,
    source: sourceOf(flags),
    qos: flags.qos,
    seed: flags.seed,
    maxInFlight: flags.inFlight,
    drainTimeoutMs: flags.drainTimeout,
    settleTimeoutMs: flags.settleTimeout,
    allowDuplicates: flags.allowDuplicates ?? false,
    ...(flags.runId !== undefined && { runId: flags.runId }),
  };
}

function sourceOf(flags: Flags): FleetSource | ReplaySource {
  const { replay, metric, compress, batch, rate, profile, devices, duration } = flags;
  if (replay === undefined) {
    return { kind: 'fleet', profile, devices, rate: rate ?? DEFAULT_FLEET_RATE, durationMs: duration };
  }
  return {
    kind: 'replay',
    file: replay,
    ...(metric !== undefined && { metric }),
    ...(compress !== undefined && { compress }),
    ...(batch !== undefined && { batch }),
    ...(rate !== undefined && { rate }),
  };
}

async function writeVerdict(file: string, verdict: unknown): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(verdict, null, 2)}\n`);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SimulatorOptionError(`cannot write the verdict: ${reason}`, { cause });
  }
}

/** The first Ctrl-C (or SIGTERM) aborts, a second ends the process. */
function catchInterrupts({ write }: SimulateOutput): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    write('\nstopping; the verdict follows (once more to end at once)\n');
    controller.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    release() {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number');
  return value;
}

function parseTime(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('expected a time such as 500ms, 30s, 5m or 1h');
  return ms;
}

function parseQos(text: string): QoS {
  if (text === '0') return 0;
  if (text === '1') return 1;
  if (text === '2') return 2;
  throw new InvalidArgumentError('expected 0, 1 or 2');
}
