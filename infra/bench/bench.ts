import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { type Engine, type Figure, median, type Services } from './figures.ts';
import { benchFold } from './fold-bench.ts';
import { benchGateway } from './gateway-bench.ts';
import { benchProcessor } from './processor-bench.ts';
import { startServices, stopServices } from './services.ts';

const program = new Command('bench')
  .description(
    'Measures CPU per message and messages per second, with bare aedes in the same run as the baseline',
  )
  .option('--rounds <n>', 'rounds; the median is reported', Number, 3)
  .option('--messages <n>', 'messages per gateway round', Number, 200_000)
  .option('--clients <n>', 'MQTT clients', Number, 100)
  .option('--kafka <brokers>', 'host:port of a running Kafka; otherwise one is started')
  .option('--influxdb <url>', 'address of a running InfluxDB; otherwise one is started')
  .option('--embedded-only', 'measure the embedded engines alone')
  .option('--only <part>', 'fold, gateway or processor')
  .option('--json <file>', 'also write the figures to a file')
  .parse();

const options = program.opts<{
  rounds: number;
  messages: number;
  clients: number;
  kafka?: string;
  influxdb?: string;
  embeddedOnly?: boolean;
  only?: string;
  json?: string;
}>();

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
const figures: Figure[] = [];
const wants = (part: string) => options.only === undefined || options.only === part;
const servicesFolder = join(folder, 'services');
const services = findServices();
const engines: Engine[] = services === undefined ? ['embedded'] : ['embedded', 'scaled-out'];

const machine = `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
say(`${new Date().toISOString()}  ${machine}`);
try {
  if (wants('fold'))
    report(
      'fold alone',
      'readings/s per core',
      Array.from({ length: options.rounds + 1 }, () => benchFold(100)).slice(1),
    );
  if (wants('gateway')) await runGateway();
  if (wants('processor')) await runProcessor();
} finally {
  stopServices(servicesFolder);
  rmSync(folder, { recursive: true, force: true });
}
if (options.json !== undefined)
  writeFileSync(
    options.json,
    `${JSON.stringify({ v: 1, machine, at: new Date().toISOString(), figures }, null, 2)}\n`,
  );

function findServices(): Services | undefined {
  const { kafka, influxdb, embeddedOnly } = options;
  if (kafka !== undefined && influxdb !== undefined) return { kafka, influxdb };
  if (embeddedOnly === true || options.only === 'fold') return undefined;
  return startServices(servicesFolder, say);
}

async function runGateway(): Promise<void> {
  const cpu: Record<string, number[]> = {};
  const rate: Record<string, number[]> = {};
  const subjects = ['bare aedes', ...engines.map((engine) => `gateway, ${engine}`)];
  for (let round = 0; round < options.rounds; round++) {
    for (const [index, subject] of subjects.entries()) {
      const engine = engines[index - 1];
      const measured = await benchGateway({
        engine,
        config: engine && configOf(engine, `gateway-${round}`),
        ...options,
      });
      cpu[subject] = [...(cpu[subject] ?? []), measured.cpuMicrosPerMessage];
      rate[subject] = [...(rate[subject] ?? []), measured.messagesPerSecond];
      say(
        `  round ${round + 1}: ${subject}: ${measured.cpuMicrosPerMessage.toFixed(1)} us CPU/message, ${Math.round(measured.messagesPerSecond)} msg/s`,
      );
    }
  }
  const baseline = cpu['bare aedes'] ?? [];
  for (const subject of subjects) {
    report(subject, 'us CPU/message', cpu[subject] ?? []);
    report(subject, 'msg/s', rate[subject] ?? []);
    if (subject !== 'bare aedes')
      report(
        subject,
        'x CPU of bare aedes',
        (cpu[subject] ?? []).map((micros, round) => micros / (baseline[round] ?? Number.NaN)),
      );
  }
}

async function runProcessor(): Promise<void> {
  for (const engine of engines) {
    const cpu: number[] = [];
    const rate: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const measured = await benchProcessor({
        config: configOf(engine, `processor-${round}`),
        devices: 1_000,
        messagesPerDevice: 400,
      });
      cpu.push(measured.cpuMicrosPerMessage);
      rate.push(measured.messagesPerSecond);
      say(
        `  round ${round + 1}: processor, ${engine}: ${measured.cpuMicrosPerMessage.toFixed(1)} us CPU/message, ${Math.round(measured.messagesPerSecond)} msg/s`,
      );
    }
    report(`processor, ${engine}`, 'us CPU/message of 4 values', cpu);
    report(`processor, ${engine}`, 'msg/s', rate);
  }
}

/** A configuration of its own for each round: fresh folder, fresh topics, fresh database. */
function configOf(engine: Engine, round: string): unknown {
  const name = `bench-${randomUUID().slice(0, 8)}`;
  const shared = {
    dataFolder: join(folder, `${round}-${name}`),
    gateway: { port: 0 },
    operations: { port: 0 },
  };
  if (engine === 'embedded') return shared;
  return {
    ...shared,
    eventLog: { kind: 'kafka', brokers: [services?.kafka], topicPrefix: name },
    metricStore: { kind: 'influxdb', url: services?.influxdb, database: name },
  };
}

function report(subject: string, unit: string, values: readonly number[]): void {
  const value = median(values);
  figures.push({ subject, unit, median: value, values });
  say(`${subject.padEnd(24)} ${value.toFixed(value < 100 ? 2 : 0).padStart(10)} ${unit}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
