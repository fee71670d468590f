import type { FlatMessage } from '../event-log/flat-message.ts';
import type { DeviceState, FoldState } from './fold-state.ts';
import { createPayloadMemory, hashPayload, isPayloadDuplicate } from './payload-memory.ts';
import { isSequenceDuplicate } from './sequence-window.ts';

const DATA_KEY = '"data":';
/** `"data":` begins within these first bytes of every event. */
const LONGEST_PREFIX_BYTES = 64;

/**
 * Tells whether a message of a device was folded before, and remembers it when not. With `seq` its number decides, with
 * `ts` alone its bytes among the device's latest; with neither it cannot be told, and every delivery counts.
 * `event` is the record's value, `index` the message's place in its array.
 */
export function isDuplicate(
  state: FoldState,
  deviceId: string,
  { seq, ts }: Pick<FlatMessage, 'seq' | 'ts'>,
  event: Buffer,
  index: number,
): boolean {
  const device = deviceOf(state, deviceId);
  device.lastSeen = state.logTime;
  if (seq === undefined) return ts !== undefined && wasPayloadSeen(device, event, index);
  if (ts !== undefined) return isSequenceDuplicate(device.sequences, seq, ts, false);
  return isSequenceDuplicate(device.sequences, seq, undefined, wasPayloadSeen(device, event, index));
}

function deviceOf(state: FoldState, deviceId: string): DeviceState {
  let device = state.devices.get(deviceId);
  if (device === undefined) {
    device = { lastSeen: state.logTime, sequences: [], payloads: undefined };
    state.devices.set(deviceId, device);
  }
  return device;
}

/** The event's `received` differs between deliveries, so only what the device sent is hashed. */
function wasPayloadSeen(device: DeviceState, event: Buffer, index: number): boolean {
  device.payloads ??= createPayloadMemory();
  const at = event.subarray(0, LONGEST_PREFIX_BYTES).indexOf(DATA_KEY);
  return isPayloadDuplicate(device.payloads, hashPayload(event.subarray(at + DATA_KEY.length), index));
}
