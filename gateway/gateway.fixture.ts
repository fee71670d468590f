import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect } from 'vitest';
import { openEmbeddedEventLog } from '../event-log/embedded/embedded-event-log.ts';
import { EventLogFullError, EventLogUnavailableError } from '../event-log/errors.ts';
import type { EventLog } from '../event-log/event-log.ts';
import { decodeTelemetryEvent } from '../event-log/telemetry-event.ts';
import { topicNames } from '../event-log/topics.ts';
import { type Gateway, type GatewayLimits, openGateway } from './gateway.ts';
import type { AppendLog } from './log-writer.ts';

export const TOPICS = topicNames('test');

export interface AppendedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  readonly value: Buffer;
}

type Behaviour = 'pass' | 'hold' | 'unavailable' | 'full' | 'throw';

/** A real event log whose appends can be held, refused or left unanswered. */
export class ControlledLog implements AppendLog {
  readonly #log: EventLog;
  /** What became durable, in the order of its acknowledgement to the caller. */
  readonly durable: AppendedRecord[] = [];
  /** Appends that were asked for, whatever became of them. */
  asked = 0;
  #behaviour: Behaviour = 'pass';
  #held: (() => void)[] = [];

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** What appends do from now on. Those held go through when the behaviour changes. */
  set behaviour(behaviour: Behaviour) {
    this.#behaviour = behaviour;
    for (const release of this.#held.splice(0)) release();
  }

  get held(): number {
    return this.#held.length;
  }

  /** Lets held appends through by their index, in the order given; the others stay held. */
  release(...indexes: readonly number[]): void {
    const held = this.#held;
    this.#held = held.filter((_, index) => !indexes.includes(index));
    for (const index of indexes) held[index]?.();
  }

  partitions(topic: string): number {
    return this.#log.partitions(topic);
  }

  append(topic: string, partition: number, key: string, value: Buffer): Promise<bigint> {
    this.asked++;
    if (this.#behaviour === 'throw') throw new Error('a fault of the log');
    return this.#append(topic, partition, key, value);
  }

  async #append(topic: string, partition: number, key: string, value: Buffer): Promise<bigint> {
    if (this.#behaviour === 'unavailable') throw new EventLogUnavailableError('the log is down');
    if (this.#behaviour === 'full') throw new EventLogFullError('the log is full');
    if (this.#behaviour === 'hold') await new Promise<void>((resolve) => this.#held.push(resolve));
    const offset = await this.#log.append(topic, partition, key, value);
    this.durable.push({ topic, partition, key, value: Buffer.from(value) });
    return offset;
  }

  async ping(): Promise<void> {
    if (this.#behaviour !== 'pass') throw new EventLogUnavailableError('the log is down');
    await this.#log.ping();
  }

  close(): Promise<void> {
    this.behaviour = 'pass';
    return this.#log.close();
  }
}

export interface TestGatewayOptions {
  readonly limits?: Partial<GatewayLimits>;
  readonly partitions?: number;
  readonly maxRecordBytes?: number;
}

/** A gateway on a free port, over an embedded event log in a folder of its own. */
export class TestGateway {
  readonly gateway: Gateway;
  readonly log: ControlledLog;
  readonly #registry: Registry;
  readonly #folder: string;

  private constructor(gateway: Gateway, log: ControlledLog, registry: Registry, folder: string) {
    this.gateway = gateway;
    this.log = log;
    this.#registry = registry;
    this.#folder = folder;
  }

  static async open({ limits = {}, partitions = 4, maxRecordBytes = 1024 * 1024 }: TestGatewayOptions = {}) {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-gateway-'));
    const topics = [TOPICS.telemetry, TOPICS.quarantine].map((name) => ({
      name,
      partitions,
      retentionMs: 86_400_000,
      maxRecordBytes,
    }));
    const log = new ControlledLog(await openEmbeddedEventLog({ folder, topics }));
    const registry = new Registry();
    const gateway = await openGateway({
      log,
      topics: TOPICS,
      host: '127.0.0.1',
      port: 0,
      limits,
      logger: pino({ level: 'silent' }),
      registry,
      clock: Date.now,
    });
    return new TestGateway(gateway, log, registry, folder);
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.gateway.port}`;
  }

  /** Telemetry messages that are durable, decoded, in order. */
  get messages(): unknown[] {
    return this.log.durable
      .filter(({ topic }) => topic === TOPICS.telemetry)
      .flatMap(({ value }) => {
        const event = decodeTelemetryEvent(value);
        return event.kind === 'messages' ? event.messages : [];
      });
  }

  /** Values of `seq` that are durable, in order. */
  get seqs(): unknown[] {
    return this.messages.map((message) =>
      typeof message === 'object' && message !== null && 'seq' in message ? message.seq : undefined,
    );
  }

  /** Quarantine events that are durable, as written. */
  get quarantined(): { readonly key: string; readonly event: Record<string, unknown> }[] {
    return this.log.durable
      .filter(({ topic }) => topic === TOPICS.quarantine)
      .map(({ key, value }) => ({ key, event: JSON.parse(value.toString()) }));
  }

  /** A metric without its prefix, summed over the reasons unless one is given. */
  async metric(name: string, reason?: string): Promise<number> {
    const metric = await this.#registry.getSingleMetric(`sluice_gateway_${name}`)?.get();
    const values = (metric?.values ?? []).filter(
      ({ labels }) => reason === undefined || labels.reason === reason,
    );
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  /** Closes everything. What was received must then be accounted for. */
  async close(): Promise<void> {
    if (this.log.held > 0) this.log.behaviour = 'pass';
    await this.gateway.close(2_000);
    await this.log.close();
    await rm(this.#folder, { recursive: true, force: true });
    await this.expectBalance();
  }

  async expectBalance(): Promise<void> {
    const received = await this.metric('received_messages_total');
    const accepted = await this.metric('accepted_messages_total');
    const quarantined = await this.metric('quarantined_messages_total');
    const refused = await this.metric('refused_messages_total');
    expect({ received }).toEqual({ received: accepted + quarantined + refused });
  }
}
