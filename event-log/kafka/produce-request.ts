import { BATCH_HEADER_BYTES, recordBytes, type UnwrittenRecord, writeRecordBatch } from './record-batch.ts';

/** What kafkajs makes of one produce request to one broker. */
export interface ProduceRequest {
  readonly acks: number;
  /** How long the broker may wait for acknowledgements, ms. */
  readonly timeout: number;
  readonly topicData: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly messages: readonly unknown[] }[];
  }[];
}

/** A produce request of batches cannot be written as it was handed over. */
export class ProduceRequestError extends Error {
  readonly code = 'KAFKA_PRODUCE_REQUEST';
  readonly retryable = false;
  override readonly name = 'ProduceRequestError';
}

/**
 * The records of one partition in one request. kafkajs, which spends more on grouping and writing records than the rest
 * of a gateway does with them, takes this for a single message.
 */
export class OutgoingBatch {
  readonly partition: number;
  readonly key = null;
  readonly value = null;
  readonly records: readonly UnwrittenRecord[];
  /** What the batch takes in the request. */
  readonly sizeBytes: number;

  /** `sizeBytes` is that of the header and of each record at its place. */
  constructor(partition: number, records: readonly UnwrittenRecord[], sizeBytes = batchBytes(records)) {
    this.partition = partition;
    this.records = records;
    this.sizeBytes = sizeBytes;
  }

  /** What kafkajs asks for when it writes a message itself: that would store one empty record for all of these. */
  get timestamp(): never {
    throw new ProduceRequestError('kafkajs took a batch of records for a message');
  }
}

/** Whether a request is one of batches. */
export function hasBatches({ topicData }: ProduceRequest): boolean {
  return topicData.some(({ partitions }) =>
    partitions.some(({ messages }) => messages.some((message) => message instanceof OutgoingBatch)),
  );
}

const NULL_LENGTH = -1;
/** Transactional id, acks, timeout, number of topics. */
const HEAD_BYTES = 2 + 2 + 4 + 4;

/**
 * The body of a produce request of versions 3 to 7, outside of a transaction, in one buffer. `timestamp` is ms since the
 * epoch. Throws `ProduceRequestError` unless there is one `OutgoingBatch` for each partition.
 */
export function encodeProduceRequest(
  { acks, timeout, topicData }: ProduceRequest,
  timestamp: number,
): Buffer {
  const topics = topicData.map(({ topic, partitions }) => ({
    topic: Buffer.from(topic),
    batches: partitions.map(({ partition, messages }) => onlyBatch(partition, messages)),
  }));
  let size = HEAD_BYTES;
  for (const { topic, batches } of topics) {
    size += 2 + topic.length + 4;
    for (const { sizeBytes } of batches) size += 4 + 4 + sizeBytes;
  }
  const bytes = Buffer.allocUnsafe(size);
  let at = bytes.writeInt16BE(NULL_LENGTH, 0);
  at = bytes.writeInt16BE(acks, at);
  at = bytes.writeInt32BE(timeout, at);
  at = bytes.writeInt32BE(topics.length, at);
  for (const { topic, batches } of topics) {
    at = bytes.writeInt16BE(topic.length, at);
    at += topic.copy(bytes, at);
    at = bytes.writeInt32BE(batches.length, at);
    for (const { partition, sizeBytes, records } of batches) {
      at = bytes.writeInt32BE(partition, at);
      at = bytes.writeInt32BE(sizeBytes, at);
      const end = at + sizeBytes;
      at = writeRecordBatch(bytes, at, records, timestamp);
      if (at !== end) throw new ProduceRequestError(`partition ${partition}: a batch is not of its size`);
    }
  }
  return bytes;
}

function onlyBatch(partition: number, messages: readonly unknown[]): OutgoingBatch {
  const [batch, ...others] = messages;
  if (batch instanceof OutgoingBatch && others.length === 0 && batch.partition === partition) return batch;
  throw new ProduceRequestError(`partition ${partition}: expected one batch of its records`);
}

function batchBytes(records: readonly UnwrittenRecord[]): number {
  let bytes = BATCH_HEADER_BYTES;
  for (const [offsetDelta, record] of records.entries()) bytes += recordBytes(record, offsetDelta);
  return bytes;
}
