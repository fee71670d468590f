import fc from 'fast-check';
import mqttPacket from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import type { QoS } from './device-link.ts';
import { publishLength, writePublish } from './publish-packet.ts';

describe('a PUBLISH packet', () => {
  it('has the bytes that another library writes', () => {
    const sizes = fc.oneof(fc.nat(300), fc.constantFrom(16_300, 16_384, 2_097_100, 2_097_152));
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z/]{1,40}$/),
        sizes,
        fc.constantFrom<QoS>(0, 1, 2),
        fc.integer({ min: 1, max: 65_535 }),
        fc.boolean(),
        fc.nat(9),
        (topic, size, qos, id, mayRepeat, at) => {
          const dup = mayRepeat && qos > 0;
          const payload = Buffer.alloc(size, 'x');
          const target = Buffer.alloc(at + publishLength(topic, size, qos));
          expect(writePublish(target, at, { topic, payload, qos, id, dup })).toBe(target.length);
          const expected = mqttPacket.generate({
            cmd: 'publish',
            topic,
            payload,
            qos,
            dup,
            retain: false,
            ...(qos > 0 && { messageId: id }),
          });
          expect(target.subarray(at).equals(expected)).toBe(true);
        },
      ),
    );
  });
});
