import { randomUUID } from 'node:crypto';
import { describe, expect, inject, test } from 'vitest';
import { counted, PATIENCE, publish, Site, sendAndSettle, telemetryOf } from './quarantine.fixture.ts';

const brokers = inject('kafkaBrokers');

describe.skipIf(brokers === '')('the quarantine of a pipeline on Kafka', () => {
  test('is listed and redriven while the pipeline runs, and what is redriven twice counts once', async () => {
    const topicPrefix = `quarantine-${randomUUID().slice(0, 8)}`;
    const site = await Site.open({ kind: 'kafka', brokers: brokers.split(','), topicPrefix });
    await site.running((pipeline) =>
      publish(pipeline, [
        [telemetryOf('boiler'), '{"metrics":'],
        ['plant/boiler', '{"seq":4,"metrics":{"heat":1}}'],
      ]),
    );
    site.configure({ gateway: { topicTemplate: 'plant/{deviceId}' } });
    await site.running(async (pipeline) => {
      expect((await site.run('list')).out).toMatch(
        /unknown_topic .*\n.*not_json |not_json .*\n.*unknown_topic /,
      );
      const [id] = await site.ids('unknown_topic');
      expect((await site.run(`redrive ${id} --yes`)).out).toMatch(/^1 redriven, /);
      await expect.poll(() => counted(pipeline, 'heat'), PATIENCE).toBe(1);
      expect((await site.run(`redrive ${id} --yes`)).out).toMatch(/^1 redriven, /);
      expect((await site.run('redrive --all --yes')).out).toMatch(
        /^0 redriven, 1 still unusable \(unknown_topic 1\), 1 already redriven\n/,
      );
      await sendAndSettle(pipeline, 'plant/boiler', 'mark');
      expect(await counted(pipeline, 'heat')).toBe(1);
      expect((await site.run(`show ${id}`)).out).toContain('state        redriven ');
    });
  });
});
