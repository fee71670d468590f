import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { identifyProcess } from './process-identity.ts';
import { packageRoot } from './tools.ts';

const PROGRAM = join(packageRoot(), 'dist/infra/local/services.js');

let folder: string;

interface Result {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

function services(args: readonly string[], env = process.env, inFolder = folder): Promise<Result> {
  return new Promise((resolve) => {
    const argv = [PROGRAM, ...args, '--folder', inFolder];
    execFile(process.execPath, argv, { env, timeout: 90_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? String(error)), stdout, stderr });
    });
  });
}

/** The JSON object that the command prints; fails with what it said when it failed. */
async function json(...args: string[]): Promise<Record<string, Record<string, unknown>>> {
  const { code, stdout, stderr } = await services([...args, '--json']);
  if (code !== 0) throw new Error(`services ${args.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

function newFolder(): string {
  return mkdtempSync(join(inject('servicesFolder'), 'services-test-'));
}

async function discardFolder(): Promise<void> {
  await services(['stop', '--kill']);
  rmSync(folder, { recursive: true, force: true });
}

describe.skipIf(inject('kafkaBrokers') === '')('Kafka', () => {
  beforeAll(() => {
    folder = newFolder();
  });
  afterAll(discardFolder);

  async function highWatermark(brokers: string): Promise<string | undefined> {
    const admin = openKafka(brokers).admin();
    await admin.connect();
    try {
      return (await admin.fetchTopicOffsets('kept'))[0]?.high;
    } finally {
      await admin.disconnect();
    }
  }

  async function write(brokers: string): Promise<void> {
    const client = openKafka(brokers);
    const admin = client.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 1 }], waitForLeaders: true });
    await admin.disconnect();
    const producer = client.producer();
    await producer.connect();
    await producer.send({ topic: 'kept', acks: -1, messages: [{ value: 'a' }, { value: 'b' }] });
    await producer.disconnect();
  }

  function openKafka(brokers: string): Kafka {
    return new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING });
  }

  test('keeps its port and its records over a stop and over a kill', async () => {
    const first = await json('start', 'kafka');
    const brokers = String(first.kafka?.brokers);
    await write(brokers);
    expect(await json('stop', 'kafka')).toEqual({ kafka: { state: 'stopped' } });

    const second = await json('start', 'kafka');
    expect(second.kafka?.brokers).toBe(brokers);
    expect(second.kafka?.pid).not.toBe(first.kafka?.pid);
    expect(await highWatermark(brokers)).toBe('2');
    expect(await json('stop', 'kafka', '--kill')).toEqual({ kafka: { state: 'killed' } });

    expect((await json('start', 'kafka')).kafka?.brokers).toBe(brokers);
    expect(await highWatermark(brokers)).toBe('2');
  });
});

describe.skipIf(inject('influxdbUrl') === '')('InfluxDB', () => {
  beforeAll(() => {
    folder = newFolder();
  });
  afterAll(discardFolder);

  async function query(url: string, statement: string): Promise<string> {
    const parameters = new URLSearchParams({ db: 'kept', q: statement });
    return (await fetch(`${url}/query?${parameters}`, { method: 'POST' })).text();
  }

  test('keeps its port and its points over a stop and over a kill', async () => {
    const url = String((await json('start', 'influxdb')).influxdb?.url);
    await query(url, 'create database kept');
    const written = await fetch(`${url}/write?db=kept`, { method: 'POST', body: 'point value=42 1000' });
    expect(written.status).toBe(204);
    for (const stop of [['stop'], ['stop', '--kill']]) {
      await json(...stop, 'influxdb');
      expect((await json('start', 'influxdb')).influxdb?.url).toBe(url);
      expect(await query(url, 'select value from point')).toContain('[["1970-01-01T00:00:00.000001Z",42]]');
    }
  });
});

describe.skipIf(inject('mosquittoUrl') === '')('the command', () => {
  beforeAll(() => {
    folder = newFolder();
  });
  afterAll(discardFolder);

  test('starts a server that answers, once, and says what is running', async () => {
    expect(await json('status', 'mosquitto')).toEqual({ mosquitto: { state: 'absent' } });
    const [started, again] = await Promise.all([json('start', 'mosquitto'), json('start', 'mosquitto')]);
    expect(again).toEqual(started);
    const client = await connectAsync(String(started.mosquitto?.url));
    await client.endAsync();
    expect(await json('status', 'mosquitto')).toEqual({
      mosquitto: { state: 'running', ...started.mosquitto },
    });

    expect(await json('stop', 'mosquitto')).toEqual({ mosquitto: { state: 'stopped' } });
    expect(await json('stop', 'mosquitto')).toEqual({ mosquitto: { state: 'was not running' } });
    const { url } = started.mosquitto ?? {};
    expect(await json('status', 'mosquitto')).toEqual({ mosquitto: { state: 'stopped', url } });
  });

  test('prints a table for people', async () => {
    await json('stop', 'mosquitto');
    const { stdout } = await services(['status', 'mosquitto']);
    expect(stdout).toMatch(/^mosquitto {2}stopped +mqtt:\/\/127\.0\.0\.1:\d+\n$/);
  });

  test('does not signal a process that got the pid of the server', async () => {
    await json('start', 'mosquitto');
    await json('stop', 'mosquitto');
    const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 60_000)'], { stdio: 'ignore' });
    try {
      const identity = identifyProcess(stranger.pid ?? 0);
      if (identity === undefined) throw new Error('the stranger did not start');
      const file = join(folder, 'mosquitto/instance.json');
      const record: object = JSON.parse(readFileSync(file, 'utf8'));
      const process = { pid: identity.pid, startedAt: `${identity.startedAt}0` };
      writeFileSync(file, JSON.stringify({ ...record, process }));
      expect(await json('status', 'mosquitto')).toMatchObject({ mosquitto: { state: 'stopped' } });
      expect(await json('stop', 'mosquitto', '--kill')).toEqual({ mosquitto: { state: 'was not running' } });
      expect(identifyProcess(identity.pid)).toEqual(identity);
    } finally {
      stranger.kill('SIGKILL');
    }
  });

  test('shows the end of the log of a server that cannot start', async () => {
    const occupant = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => occupant.once('listening', resolve));
    const address = occupant.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const occupied = join(folder, 'occupied');
    try {
      mkdirSync(join(occupied, 'mosquitto'), { recursive: true });
      writeFileSync(join(occupied, 'mosquitto/instance.json'), JSON.stringify({ ports: [port] }));
      const { code, stderr } = await services(['start', 'mosquitto'], process.env, occupied);
      expect(code).toBe(1);
      expect(stderr).toContain('mosquitto ended while starting');
      expect(stderr).toContain('Address already in use');
    } finally {
      occupant.close();
    }
  });
});

test('a server whose program is missing is refused with the way to get it', async () => {
  folder = newFolder();
  try {
    const { code, stderr } = await services(['start'], { PATH: '/nonexistent', HOME: folder });
    expect(code).toBe(1);
    expect(stderr).toContain('kafka: java not found: apt-get install default-jdk-headless maven');
    expect(stderr).toContain('influxdb: influxd not found: apt-get install influxdb');
    expect(stderr).toContain('mosquitto: mosquitto not found: apt-get install mosquitto');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
