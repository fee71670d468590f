import { pino } from 'pino';
import { configSchema } from '../../config/schema.ts';
import { partitionOf } from '../../event-log/partition.ts';
import { encodeTelemetryEvent } from '../../event-log/telemetry-event.ts';
import { topicNames } from '../../event-log/topics.ts';
import { openEventLog } from '../../pipeline.ts';
import { subjectOptions, tellParent } from './subject.ts';

/** Fills the telemetry topic: each device sent one message of four values a second, ending at about now. */
interface FillOptions {
  readonly config: unknown;
  readonly devices: number;
  readonly messagesPerDevice: number;
}

/** Appends that are not durable yet, at most. */
const MAX_PENDING = 20_000;

const { config: input, devices, messagesPerDevice } = subjectOptions<FillOptions>();
const config = configSchema.parse(input);
const log = await openEventLog(config, pino({ level: 'warn' }, pino.destination(2)));
const topic = topicNames(config.eventLog.topicPrefix).telemetry;
const [window = 1] = config.processor.windows;
const end = Math.floor(Date.now() / window) * window;
const start = end - messagesPerDevice * 1_000;
const deviceIds = Array.from({ length: devices }, (_, index) => `bench-${index}`);
const partitions = deviceIds.map((deviceId) => partitionOf(deviceId, log.partitions(topic)));

let pending: Promise<bigint>[] = [];
for (let seq = 0; seq < messagesPerDevice; seq++) {
  for (let device = 0; device < devices; device++) {
    pending.push(log.append(topic, partitions[device] ?? 0, deviceIds[device] ?? '', eventOf(seq, device)));
    if (pending.length < MAX_PENDING) continue;
    await Promise.all(pending);
    pending = [];
  }
}
await Promise.all(pending);
await log.close();
tellParent({ kind: 'result', result: { messages: devices * messagesPerDevice } });
process.disconnect?.();

function eventOf(seq: number, device: number): Buffer {
  const ts = start + seq * 1_000 + (device % 1_000);
  const metrics = {
    temperature: 20 + ((seq + device) % 100) / 10,
    humidity: 40 + (seq % 50) / 10,
    setpoint: 21.5,
    heating: seq % 2 === 0,
  };
  return encodeTelemetryEvent(ts, Buffer.from(JSON.stringify({ ts, seq, metrics })));
}
