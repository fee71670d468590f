import type { CheckpointReader } from './checkpoint-reader.ts';
import { readSequenceWindow, writeSequenceWindow } from './checkpoint-sequences.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';
import type { DeviceState, FoldState } from './fold-state.ts';
import { PAYLOAD_MEMORY, type PayloadMemory } from './payload-memory.ts';

/** Bits of a device's first byte; the number of its sequence windows is in the lowest two. */
const SEQUENCES = 0b0011;
const REMEMBERED = 0b0100;
const HAS_PAYLOADS = 0b1000;
const FORGOTTEN = 0;

/** Writes what is remembered of each of `deviceIds`, which are all that the state names. */
export function writeDevices(
  writer: CheckpointWriter,
  { devices, logTime }: FoldState,
  deviceIds: readonly string[],
): void {
  for (const deviceId of deviceIds) {
    const device = devices.get(deviceId);
    if (device === undefined) writer.byte(FORGOTTEN);
    else writeDevice(writer, device, logTime);
  }
}

export function readDevices(
  reader: CheckpointReader,
  logTime: number,
  deviceIds: readonly string[],
): Map<string, DeviceState> {
  const devices = new Map<string, DeviceState>();
  for (const deviceId of deviceIds) {
    const head = reader.byte();
    if (head === FORGOTTEN) continue;
    if ((head & REMEMBERED) === 0 || head > (SEQUENCES | REMEMBERED | HAS_PAYLOADS)) {
      throw reader.damaged(`a device that starts with ${head}`);
    }
    devices.set(deviceId, readDevice(reader, head, logTime));
  }
  return devices;
}

function writeDevice(
  writer: CheckpointWriter,
  { lastSeen, sequences, payloads }: DeviceState,
  logTime: number,
): void {
  if (sequences.length > SEQUENCES) throw new RangeError(`${sequences.length} sequence windows`);
  writer.byte(REMEMBERED | sequences.length | (payloads === undefined ? 0 : HAS_PAYLOADS));
  writer.varint(logTime - lastSeen);
  for (const sequence of sequences) writeSequenceWindow(writer, sequence, lastSeen);
  if (payloads !== undefined) writePayloads(writer, payloads);
}

function readDevice(reader: CheckpointReader, head: number, logTime: number): DeviceState {
  const lastSeen = logTime - reader.varint();
  if (!Number.isSafeInteger(lastSeen)) throw reader.damaged(`a device last seen at ${lastSeen}`);
  const sequences = Array.from({ length: head & SEQUENCES }, () => readSequenceWindow(reader, lastSeen));
  const payloads = (head & HAS_PAYLOADS) === 0 ? undefined : readPayloads(reader);
  return { lastSeen, sequences, payloads };
}

function writePayloads(writer: CheckpointWriter, { hashes, next }: PayloadMemory): void {
  writer.varint(hashes.length);
  writer.varint(next);
  for (const hash of hashes) writer.float64(hash);
}

function readPayloads(reader: CheckpointReader): PayloadMemory {
  const count = reader.upTo(PAYLOAD_MEMORY, 'hashes of payloads');
  const next = reader.upTo(PAYLOAD_MEMORY - 1, 'as the next place');
  if (count < PAYLOAD_MEMORY && next !== count) throw reader.damaged(`place ${next} of ${count} is next`);
  const hashes: number[] = [];
  for (let i = 0; i < count; i++) {
    const hash = reader.float64();
    if (!Number.isSafeInteger(hash) || hash < 0) throw reader.damaged(`the hash ${hash}`);
    hashes.push(hash);
  }
  return { hashes, next };
}
