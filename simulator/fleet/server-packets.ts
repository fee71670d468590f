/**
 * What an MQTT 3.1.1 server sends to a device that subscribes to nothing. `id` is the packet identifier, of a CONNACK
 * its return code, of a PINGRESP 0.
 */
export const SERVER_PACKET = {
  connack: 0x20,
  puback: 0x40,
  pubrec: 0x50,
  pubcomp: 0x70,
  pingresp: 0xd0,
} as const;

/** The server sent something that is none of these packets, or is not MQTT. */
export class UnexpectedPacketError extends Error {
  readonly code = 'SIMULATOR_UNEXPECTED_PACKET';
  readonly retryable = true;

  constructor(firstByte: number, remainingLength: number) {
    super(`unexpected packet from the server: first byte ${firstByte}, remaining length ${remainingLength}`);
    this.name = new.target.name;
  }
}

const PINGRESP_LENGTH = 0;
const OTHER_LENGTH = 2;

/**
 * Calls `onPacket` for each whole packet in `bytes[0, end)` until it returns false, and returns how many bytes were
 * read. Unless it returned false, the rest (three bytes at most) is the start of another packet. Throws `UnexpectedPacketError`.
 */
export function readServerPackets(
  bytes: Uint8Array,
  end: number,
  onPacket: (type: number, id: number) => boolean,
): number {
  let at = 0;
  while (at + 2 <= end) {
    const type = bytes[at] ?? 0;
    const length = bytes[at + 1] ?? 0;
    if (!isExpected(type, length)) throw new UnexpectedPacketError(type, length);
    if (at + 2 + length > end) return at;
    const id = length === 0 ? 0 : idOf(type, bytes[at + 2] ?? 0, bytes[at + 3] ?? 0);
    at += 2 + length;
    if (!onPacket(type, id)) return at;
  }
  return at;
}

function isExpected(type: number, length: number): boolean {
  switch (type) {
    case SERVER_PACKET.puback:
    case SERVER_PACKET.pubrec:
    case SERVER_PACKET.pubcomp:
    case SERVER_PACKET.connack:
      return length === OTHER_LENGTH;
    case SERVER_PACKET.pingresp:
      return length === PINGRESP_LENGTH;
    default:
      return false;
  }
}

function idOf(type: number, high: number, low: number): number {
  return type === SERVER_PACKET.connack ? low : (high << 8) | low;
}
