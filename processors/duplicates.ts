import type { FlatMessage } from '../event-log/flat-message.ts';
import type { DeviceState, FoldState } from './fold-state.ts';
import { createPayloadMemory, isPayloadSeen, rememberPayload } from './payload-memory.ts';
import { isSequenceDuplicate, rememberSequence } from './sequence-window.ts';

type Numbered = Pick<FlatMessage, 'seq' | 'ts'>;

/** Whether only the bytes of its payload tell that a message is a repetition. */
export function needsPayload({ seq, ts }: Numbered): boolean {
  return (seq === undefined) !== (ts === undefined);
}

/**
 * Tells whether a message of a device was folded before. With `seq` and `ts` these decide; a payload whose bytes are
 * among the device's latest is a repetition as a whole. With neither it cannot be told, and every delivery counts.
 */
export function isDuplicate(
  device: DeviceState | undefined,
  { seq, ts }: Numbered,
  payloadHash: number | undefined,
): boolean {
  if (device === undefined || (seq === undefined && ts === undefined)) return false;
  if (seq !== undefined && ts !== undefined && isSequenceDuplicate(device.sequences, seq, ts)) return true;
  return (
    payloadHash !== undefined && device.payloads !== undefined && isPayloadSeen(device.payloads, payloadHash)
  );
}

/** Remembers that a message of the device was folded. */
export function rememberMessage(state: FoldState, deviceId: string, { seq, ts }: Numbered): void {
  const device = deviceOf(state, deviceId);
  if (seq !== undefined && ts !== undefined) rememberSequence(device.sequences, seq, ts);
}

/** Remembers that messages of this payload were folded. Call once they all have been looked at. */
export function rememberPayloadOf(state: FoldState, deviceId: string, payloadHash: number): void {
  const device = deviceOf(state, deviceId);
  device.payloads ??= createPayloadMemory();
  rememberPayload(device.payloads, payloadHash);
}

function deviceOf(state: FoldState, deviceId: string): DeviceState {
  let device = state.devices.get(deviceId);
  if (device === undefined) {
    device = { lastSeen: state.logTime, sequences: [], payloads: undefined };
    state.devices.set(deviceId, device);
  }
  device.lastSeen = state.logTime;
  return device;
}
