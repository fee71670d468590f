import { createRequire } from 'node:module';
import { PackedRecords } from './packed-records.ts';
import { encodeProduceRequest, hasBatches, type ProduceRequest } from './produce-request.ts';

const require = createRequire(import.meta.url);
const KAFKAJS_VERSION = '2.2.4';
const BATCH_DECODER = 'kafkajs/src/protocol/recordBatch/v0/decoder';
/** The only user of the above, loaded with the first fetch. */
const BATCH_DECODER_USER = 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages';
const PRODUCE = 'kafkajs/src/protocol/requests/produce';
/** Those whose requests carry record batches, and are alike. */
const PRODUCE_VERSIONS: readonly number[] = [3, 4, 5, 6, 7];

/** kafkajs is not the version, or not built the way, that the corrections below were written for. */
export class KafkajsPatchError extends Error {
  readonly code = 'KAFKAJS_PATCH';
  readonly retryable = false;
  override readonly name = 'KafkajsPatchError';
}

interface RequestQueue {
  readonly pending: readonly unknown[];
}

/** The assignment that a batch was fetched under; a new object for each generation of the group. */
interface ConsumerGroup {
  readonly offsetManager: object | null;
}

/** Reads `buffer` from `offset` on. */
interface Decoder {
  readonly buffer: Buffer;
  readonly offset: number;
  forward(bytes: number): void;
}

/** A request or response of one version, made from what is to be sent. */
type CreateProduce = (request: ProduceRequest) => { readonly request: object };
type ProduceProtocol = (options: { readonly version: number }) => CreateProduce;

type Method = (this: unknown, ...args: unknown[]) => unknown;
type ConsumerGroupFetch = (this: ConsumerGroup, nodeId: unknown) => Promise<object[]>;

const staleness = new WeakMap<object, () => boolean>();
let patched = false;

/**
 * Corrects five things inside kafkajs that its options cannot reach. Applies once per process, to every
 * kafkajs client in it. Throws `KafkajsPatchError` when kafkajs differs from what is expected.
 */
export function patchKafkajs(): void {
  if (patched) return;
  const version = property(require('kafkajs/package.json'), 'version');
  if (version !== KAFKAJS_VERSION) {
    throw new KafkajsPatchError(`kafkajs is ${String(version)}; its patches are for ${KAFKAJS_VERSION}`);
  }
  stopIdleTimer();
  reportProduceErrorsByPartition();
  writeBatchesAtOnce();
  stampFetchedBatches();
  leaveRecordsPacked();
  patched = true;
}

/**
 * Whether the consumer has joined a new generation of its group since this batch was fetched. kafkajs can rejoin
 * while batches of the old generation are queued or being handled; such a batch may skip records of the new
 * one, and what is committed for it would pass as the new one's.
 */
export function isStaleBatch(batch: object): boolean {
  return staleness.get(batch)?.() ?? false;
}

/** The offset that this batch was asked for, which kafkajs keeps to itself. Throws `KafkajsPatchError`. */
export function fetchedFrom(batch: object): bigint {
  const offset: unknown = Reflect.get(batch, 'fetchedOffset');
  if (typeof offset !== 'string') throw new KafkajsPatchError('kafkajs: a batch lacks its "fetchedOffset"');
  return BigInt(offset);
}

/** An idle connection re-arms a 1 ms timer for ever, 7 % of a core: arm it only when a request is waiting. */
function stopIdleTimer(): void {
  const prototype = property(require('kafkajs/src/network/requestQueue'), 'prototype');
  const schedule = method<(this: RequestQueue) => void>(prototype, 'scheduleCheckPendingRequests');
  replace(prototype, 'scheduleCheckPendingRequests', function patchedSchedule(this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  });
}

/**
 * kafkajs throws the first partition's error and forgets what became of the others in the same response, and of
 * the requests to other brokers: retrying then appends records twice. With this, results carry `errorCode`.
 */
function reportProduceErrorsByPartition(): void {
  for (const version of PRODUCE_VERSIONS) {
    const response: unknown = require(`${PRODUCE}/v${version}/response`);
    method(response, 'parse');
    replace(response, 'parse', async (decoded: unknown) => decoded);
  }
}

/**
 * kafkajs spends 3 us on writing a record, with some buffers for each, and groups the records of a request in quadratic
 * time. With this, a message to send may be an `OutgoingBatch`, one for each partition of a request.
 */
function writeBatchesAtOnce(): void {
  const produce: unknown = require(PRODUCE);
  const protocol = method<ProduceProtocol>(produce, 'protocol');
  replace(produce, 'protocol', ({ version }: { readonly version: number }): CreateProduce => {
    const create = protocol({ version });
    return (options) => {
      const created = create(options);
      if (!hasBatches(options)) return created;
      if (!PRODUCE_VERSIONS.includes(version)) {
        throw new KafkajsPatchError(
          `kafkajs: a produce request of version ${version} carries no record batches`,
        );
      }
      method(created.request, 'encode');
      replace(created.request, 'encode', async () => {
        const bytes = encodeProduceRequest(options, Date.now());
        return { buf: bytes, buffer: bytes };
      });
      return created;
    };
  });
}

/** Drops batches fetched across a rejoin, and remembers for the others how to tell that they have become stale. */
function stampFetchedBatches(): void {
  const prototype = property(require('kafkajs/src/consumer/consumerGroup'), 'prototype');
  const fetch = method<ConsumerGroupFetch>(prototype, 'fetch');
  replace(prototype, 'fetch', async function patchedFetch(this: ConsumerGroup, nodeId: unknown) {
    const { offsetManager } = this;
    const batches = await fetch.call(this, nodeId);
    if (this.offsetManager !== offsetManager) return [];
    for (const batch of batches) staleness.set(batch, () => this.offsetManager !== offsetManager);
    return batches;
  });
}

/**
 * kafkajs spends 2 us on unpacking a record, most of it on integers of 64 bits, and again on each of its passes over
 * the messages. With this, a fetched batch's messages may be `PackedRecords`.
 */
function leaveRecordsPacked(): void {
  if (require.cache[require.resolve(BATCH_DECODER_USER)] !== undefined) {
    throw new KafkajsPatchError('kafkajs: something has been fetched already');
  }
  const decode: unknown = require(BATCH_DECODER);
  if (!isMethod<(decoder: Decoder) => Promise<object>>(decode)) {
    throw new KafkajsPatchError('kafkajs: the decoder of record batches is not a function');
  }
  replace(require.cache[require.resolve(BATCH_DECODER)], 'exports', async (decoder: Decoder) => {
    const packed = PackedRecords.of(decoder.buffer.subarray(decoder.offset));
    if (packed === undefined) return decode(decoder);
    decoder.forward(packed.sizeBytes);
    return { records: [packed] };
  });
}

function property(target: unknown, name: string): unknown {
  if ((typeof target !== 'object' && typeof target !== 'function') || target === null) {
    throw new KafkajsPatchError(`kafkajs: expected something with a "${name}"`);
  }
  return Reflect.get(target, name);
}

function method<T extends (...args: never[]) => unknown = Method>(target: unknown, name: string): T {
  const found = property(target, name);
  if (!isMethod<T>(found)) throw new KafkajsPatchError(`kafkajs: "${name}" is not a function`);
  return found;
}

function isMethod<T>(value: unknown): value is T {
  return typeof value === 'function';
}

function replace(target: unknown, name: string, by: unknown): void {
  if ((typeof target !== 'object' && typeof target !== 'function') || target === null) {
    throw new KafkajsPatchError(`kafkajs: nothing to hold "${name}"`);
  }
  if (!Reflect.set(target, name, by)) throw new KafkajsPatchError(`kafkajs: "${name}" is read-only`);
}
