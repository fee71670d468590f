import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TestBroker } from './broker.fixture.ts';

/** A reading as the test pipeline stores it. */
export interface StoredReading {
  readonly deviceId: string;
  readonly metric: string;
  readonly value: number;
  readonly timestamp: number;
}

type Bucket = Record<string, number>;

const RESOLUTION_MS = 1_000;

/**
 * The outside of a pipeline: a real MQTT server, and a real HTTP server that answers queries from what was published.
 * `tamper` and `tamperBucket` make it a pipeline with a fault.
 */
export class TestPipeline {
  readonly broker: TestBroker;
  /** What the store is to believe it received. */
  tamper: (readings: StoredReading[]) => StoredReading[] = (readings) => readings;
  tamperBucket: (bucket: Bucket, deviceId: string, metric: string) => Bucket = (bucket) => bucket;
  /** Queries that are still refused with a 503. */
  refusals = 0;
  readonly #server: Server;
  #apiUrl = '';

  private constructor(broker: TestBroker) {
    this.broker = broker;
    this.#server = createServer((request, response) => {
      if (this.refusals > 0) {
        this.refusals--;
        response.writeHead(503, { 'content-type': 'application/problem+json' });
        response.end(JSON.stringify({ title: 'Too many queries', status: 503, detail: 'later' }));
        return;
      }
      const { searchParams } = new URL(request.url ?? '/', 'http://localhost');
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(this.#answer(searchParams)));
    });
  }

  static async open(): Promise<TestPipeline> {
    const pipeline = new TestPipeline(await TestBroker.open());
    pipeline.#server.listen(0, '127.0.0.1');
    await once(pipeline.#server, 'listening');
    pipeline.#apiUrl = `http://127.0.0.1:${(pipeline.#server.address() as AddressInfo).port}`;
    return pipeline;
  }

  get apiUrl(): string {
    return this.#apiUrl;
  }

  async closeApi(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async close(): Promise<void> {
    await this.broker.kill();
    await this.closeApi();
  }

  #readings(): StoredReading[] {
    const readings: StoredReading[] = [];
    for (const [topic, payloads] of this.broker.received) {
      const deviceId = topic.split('/')[1] ?? '';
      for (const message of payloads.flatMap((payload) => JSON.parse(payload))) {
        for (const [metric, value] of Object.entries(message.metrics)) {
          readings.push({ deviceId, metric, value: Number(value), timestamp: message.ts });
        }
      }
    }
    return this.tamper(readings);
  }

  #answer(parameters: URLSearchParams) {
    const metric = parameters.get('metric') ?? '';
    const devices = parameters.get('device')?.split(',');
    const everyMs = parameters.has('every') ? Number.parseInt(parameters.get('every') ?? '', 10) : null;
    const step = everyMs ?? RESOLUTION_MS;
    const from = Math.floor(Number(parameters.get('from')) / step) * step;
    const to = Math.ceil(Number(parameters.get('to')) / step) * step;
    const byDevice = new Map<string, Map<number, number[]>>();
    for (const reading of this.#readings()) {
      const { deviceId, value, timestamp } = reading;
      if (reading.metric !== metric || timestamp < from || timestamp >= to) continue;
      if (devices !== undefined && !devices.includes(deviceId)) continue;
      const start = everyMs === null ? from : Math.floor(timestamp / everyMs) * everyMs;
      const buckets = byDevice.get(deviceId) ?? new Map<number, number[]>();
      byDevice.set(deviceId, buckets.set(start, [...(buckets.get(start) ?? []), value]));
    }
    const series = Array.from(byDevice, ([deviceId, buckets]) => ({
      deviceId,
      buckets: Array.from(buckets, ([start, values]) =>
        this.tamperBucket({ start, ...figures(values) }, deviceId, metric),
      ),
    }));
    return { metric, resolutionMs: RESOLUTION_MS, from, to, everyMs, groupBy: 'device', series };
  }
}

function figures(values: readonly number[]): Bucket {
  const sum = values.reduce((total, value) => total + value, 0);
  return {
    count: values.length,
    sum,
    mean: sum / values.length,
    min: values.reduce((a, b) => Math.min(a, b)),
    max: values.reduce((a, b) => Math.max(a, b)),
  };
}
