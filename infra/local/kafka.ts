import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { withFileLock } from './file-lock.ts';
import { type LocalServer, MissingToolError } from './local-server.ts';
import { firstAnswer } from './probe.ts';
import { findProgram, javaVersion, packageRoot } from './tools.ts';

const run = promisify(execFile);

const HOW_TO_GET = 'apt-get install default-jdk-headless maven (Java 17 or later, Maven)';

/** A single-node Kafka broker in KRaft mode, run from the jars that Maven fetches once per user. */
export const kafka: LocalServer = {
  name: 'kafka',
  portCount: 2,
  startDeadlineMs: 60_000,
  debianPackages: ['default-jdk-headless', 'maven'],
  address: (port) => ({ brokers: `127.0.0.1:${port}` }),
  answers: hasBroker,
  install: installJars,

  async requireTools() {
    const java = await requireJava();
    const version = await javaVersion(java);
    if (version === undefined || version < 17) {
      throw new MissingToolError(`kafka needs Java 17 or later, ${java} is ${version}: ${HOW_TO_GET}`);
    }
    if (!existsSync(jarFolder()) && findProgram('mvn') === undefined) {
      throw new MissingToolError(`kafka: mvn not found: ${HOW_TO_GET}`);
    }
  },

  async prepare(folder, [port, controllerPort]) {
    const java = await requireJava();
    const properties = join(folder, 'server.properties');
    writeFileSync(properties, serverProperties(join(folder, 'log'), Number(port), Number(controllerPort)));
    const classPath = ['-cp', join(jarFolder(), '*')];
    if (!existsSync(join(folder, 'log', 'meta.properties'))) {
      const format = ['kafka.tools.StorageTool', 'format', '-t', clusterId(), '-c', properties];
      await run(java, [...classPath, ...format], { timeout: 60_000 });
    }
    return { program: java, args: [...JVM_OPTIONS, ...classPath, 'kafka.Kafka', properties] };
  },
};

const JVM_OPTIONS = [
  '-Xms256m',
  '-Xmx768m',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-Djava.awt.headless=true',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
  '-Dorg.slf4j.simpleLogger.showDateTime=true',
  '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
];

function serverProperties(logFolder: string, port: number, controllerPort: number): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=${logFolder}
auto.create.topics.enable=false

# One node: nothing to replicate to.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# Quick tests: groups form at once, may have short sessions, and internal topics have few partitions to open.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# A broker that comes back after a kill waits until its former session has expired.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4

# Small machine, small heap.
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
`;
}

async function requireJava(): Promise<string> {
  const java = findProgram('java');
  if (java === undefined) throw new MissingToolError(`kafka: java not found: ${HOW_TO_GET}`);
  return java;
}

/** Kafka's cluster ids are 16 random bytes in URL-safe base64; a leading dash would look like an option. */
function clusterId(): string {
  return `S${randomBytes(16).toString('base64url').slice(1)}`;
}

function pomFile(): string {
  return join(packageRoot(), 'infra/local/kafka/pom.xml');
}

/** Where the jars are, or go: per user and Kafka version, shared by all checkouts and instances. */
function jarFolder(): string {
  const { version } =
    /kafka_2\.13<\/artifactId>\s*<version>(?<version>[^<]+)/.exec(readFileSync(pomFile(), 'utf8'))?.groups ??
    {};
  return join(homedir(), '.cache/sluice', `kafka-${version}`);
}

async function installJars(report: (line: string) => void, limitMs: number): Promise<void> {
  const target = jarFolder();
  if (existsSync(target)) return;
  await withFileLock(`${target}.lock`, limitMs, async () => {
    if (existsSync(target)) return;
    const maven = findProgram('mvn');
    if (maven === undefined) throw new MissingToolError(`kafka: mvn not found: ${HOW_TO_GET}`);
    report(`kafka: fetching the jars with Maven (43 MB, once) into ${target}`);
    // The folder gets its name when it is complete, so that an interrupted download is never taken for an installation.
    const incoming = mkdtempSync(join(dirname(target), 'incoming-'));
    try {
      const goal = [
        'dependency:copy-dependencies',
        '-DincludeScope=runtime',
        `-DoutputDirectory=${incoming}`,
      ];
      await runMaven(maven, ['-q', '-B', '-f', pomFile(), ...goal], limitMs);
      renameSync(incoming, target);
    } finally {
      rmSync(incoming, { recursive: true, force: true });
    }
  });
}

async function runMaven(maven: string, args: readonly string[], limitMs: number): Promise<void> {
  const started = Date.now();
  try {
    await run(maven, args, { timeout: limitMs, maxBuffer: 16 << 20 });
  } catch (cause) {
    const late = Date.now() - started >= limitMs;
    const reason = late ? `not complete after ${limitMs / 1_000} s` : mavenProblem(cause);
    throw new Error(`kafka: fetching the jars failed, try npm run services -- install kafka: ${reason}`, {
      cause,
    });
  }
}

function mavenProblem(cause: unknown): string {
  const output = cause instanceof Error && 'stdout' in cause ? String(cause.stdout) : String(cause);
  return output.split('\n').find((line) => line.includes('ERROR')) ?? output;
}

/** Asks for cluster metadata without topics: true once the broker has joined its own cluster. */
async function hasBroker(port: number): Promise<boolean> {
  const answer = await firstAnswer(port, METADATA_REQUEST);
  // Size, correlation id, throttle time, then the number of brokers.
  return answer !== undefined && answer.length >= 16 && answer.readInt32BE(12) > 0;
}

/** Metadata, version 4: key 3, correlation id 1, no client id, an empty list of topics, no auto-creation. */
const METADATA_REQUEST = Buffer.from([0, 0, 0, 15, 0, 3, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0]);
