import fc from 'fast-check';
import mqttPacket, { type Packet } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { readServerPackets, SERVER_PACKET, UnexpectedPacketError } from './server-packets.ts';

const id = fc.integer({ min: 1, max: 65_535 });
const packet: fc.Arbitrary<Packet> = fc.oneof(
  ...(['puback', 'pubrec', 'pubcomp'] as const).map((cmd) => id.map((messageId) => ({ cmd, messageId }))),
  fc.nat(5).map((returnCode) => ({ cmd: 'connack' as const, returnCode, sessionPresent: returnCode === 0 })),
  fc.constant({ cmd: 'pingresp' as const }),
);

type Seen = readonly [type: number, id: number];

function seenOf(packet: Packet): Seen {
  switch (packet.cmd) {
    case 'puback':
    case 'pubrec':
    case 'pubcomp':
      return [SERVER_PACKET[packet.cmd], packet.messageId ?? 0];
    case 'connack':
      return [SERVER_PACKET.connack, packet.returnCode ?? 0];
    default:
      return [SERVER_PACKET.pingresp, 0];
  }
}

/** Reads chunks as they would arrive, keeping what is not whole. */
function readChunks(chunks: readonly Buffer[]): Seen[] {
  const seen: Seen[] = [];
  let rest = Buffer.alloc(0);
  for (const chunk of chunks) {
    const bytes = Buffer.concat([rest, chunk]);
    const read = readServerPackets(bytes, bytes.length, (type, id) => seen.push([type, id]) > 0);
    rest = bytes.subarray(read);
    expect(rest.length).toBeLessThan(4);
  }
  expect(rest).toHaveLength(0);
  return seen;
}

describe('the packets of a server', () => {
  it('are read as another library wrote them, however they are cut', () => {
    fc.assert(
      fc.property(fc.array(packet), fc.array(fc.nat(60)), (packets, cuts) => {
        const bytes = Buffer.concat(packets.map((each) => mqttPacket.generate(each)));
        const bounds = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        const chunks = bounds.slice(1).map((end, i) => bytes.subarray(bounds[i], end));
        expect(readChunks(chunks)).toEqual(packets.map(seenOf));
      }),
    );
  });

  it('are read no further than they are wanted', () => {
    const bytes = Buffer.from([0x40, 2, 0, 1, 0x40, 2, 0, 2]);
    expect(readServerPackets(bytes, bytes.length, () => false)).toBe(4);
  });

  it.each([
    ['a PUBLISH', [0x30, 4, 0, 1, 97, 98]],
    ['a PUBACK of another length', [0x40, 3, 0, 1, 0]],
    ['another protocol', [...Buffer.from('HTTP/1.1 400')]],
  ])('are refused when there is %s', (_, bytes) => {
    expect(() => readServerPackets(Buffer.from(bytes), bytes.length, () => true)).toThrow(
      UnexpectedPacketError,
    );
  });
});
