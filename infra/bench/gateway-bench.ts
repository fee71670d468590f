import type { Engine, Measured } from './figures.ts';
import { Subject } from './subject.ts';

export interface GatewayBenchOptions {
  /** Undefined measures bare aedes. */
  readonly engine: Engine | undefined;
  readonly config: unknown;
  readonly messages: number;
  readonly clients: number;
}

const IN_FLIGHT = 20;
const WARM_UP = 20_000;
const DEADLINE_MS = 300_000;

/** QoS 1 messages of about 150 bytes and four values, from raw sockets in a process of their own. */
export async function benchGateway({
  engine,
  config,
  messages,
  clients,
}: GatewayBenchOptions): Promise<Measured> {
  const subject =
    engine === undefined ? new Subject('subject-aedes', {}) : new Subject('subject-gateway', { config });
  try {
    const { port } = await subject.next('ready');
    await publish({ port, clients, inFlight: IN_FLIGHT, messages: WARM_UP });
    const before = await subject.cpuMicros();
    const { messages: acknowledged = 0, perSecond = 0 } = await publish({
      port,
      clients,
      inFlight: IN_FLIGHT,
      messages,
    });
    const after = await subject.cpuMicros();
    return { cpuMicrosPerMessage: (after - before) / acknowledged, messagesPerSecond: perSecond };
  } finally {
    await subject.stop();
  }
}

async function publish(options: Readonly<Record<string, number>>): Promise<Readonly<Record<string, number>>> {
  const load = new Subject('load', options);
  try {
    return (await load.next('result', DEADLINE_MS)).result;
  } finally {
    await load.stop();
  }
}
