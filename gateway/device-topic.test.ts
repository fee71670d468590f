import { describe, expect, test } from 'vitest';
import { compileTopicTemplate, TopicTemplateError } from './device-topic.ts';

const LONGEST = 'd'.repeat(128);

describe('a topic template', () => {
  const deviceIdOf = compileTopicTemplate('devices/{deviceId}/telemetry');

  test.each(['a', 'Pump-7.north_2:x', LONGEST])('finds the device %s', (deviceId) => {
    expect(deviceIdOf(`devices/${deviceId}/telemetry`)).toBe(deviceId);
  });

  test.each([
    ['no device', 'devices//telemetry'],
    ['a device of 129 characters', `devices/${LONGEST}d/telemetry`],
    ['a level too many', 'devices/a/b/telemetry'],
    ['a space', 'devices/a b/telemetry'],
    ['a line break', 'devices/a\n/telemetry'],
    ['a letter outside ASCII', 'devices/ä/telemetry'],
    ['another prefix', 'device/a/telemetry'],
    ['another suffix', 'devices/a/state'],
    ['prefix and suffix overlapping', 'devices/telemetry'],
    ['nothing', ''],
  ])('finds no device in a topic with %s', (_, mqttTopic) => {
    expect(deviceIdOf(mqttTopic)).toBeUndefined();
  });

  test.each(['{deviceId}', 'a/{deviceId}', '{deviceId}/b', 'dev-{deviceId}'])('may be %s', (template) => {
    expect(compileTopicTemplate(template)(template.replace('{deviceId}', 'x'))).toBe('x');
  });

  test.each([
    'devices/telemetry',
    '{deviceId}/{deviceId}',
    'devices/+/{deviceId}',
    '{deviceId}/#',
    '$SYS/{deviceId}',
    '{tenant}/{deviceId}',
  ])('may not be %s', (template) => {
    expect(() => compileTopicTemplate(template)).toThrow(TopicTemplateError);
  });
});
