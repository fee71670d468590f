import { expect, test } from 'vitest';
import { EventLogFolderError } from './event-log/errors.ts';
import {
  counted,
  HOUR_MS,
  neighbourOf,
  PATIENCE,
  publish,
  quarantined,
  Site,
  sendAndSettle,
  telemetryOf,
} from './quarantine.fixture.ts';

test('a message that was too old is aggregated once after maxAge was raised, however often it is redriven', async () => {
  const site = await Site.open();
  const ts = Date.now() - 2 * HOUR_MS;
  await site.running(async (pipeline) => {
    await publish(pipeline, [
      [telemetryOf('boiler'), `{"ts":${ts},"seq":7,"metrics":{"heat":1}}`],
      [telemetryOf('boiler'), '{"metrics":'],
      [telemetryOf('kettle'), `{"ts":${ts},"metrics":{"heat":1}}`],
    ]);
    await expect.poll(() => quarantined(pipeline), PATIENCE).toBe(2);
  });

  const early = await site.run('redrive --all --yes');
  expect(early).toMatchObject({ exitCode: 2, err: 'error: not everything was redriven\n' });
  expect(early.out).toContain('0 redriven, 3 still unusable (too_old 2, not_json 1), 0 already redriven\n');
  expect(early.out).toContain('ms (maxAge) is accepted\n');

  // A fold with another maxAge is another fold: it goes through the log again and meets the original as well.
  site.configure({ processor: { maxAge: '1d', group: 'from-the-start' } });
  expect(await site.run('redrive --all --yes')).toMatchObject({
    exitCode: 2,
    out: expect.stringMatching(
      /^2 redriven, 1 still unusable \(not_json 1\), 0 already redriven\n {2}\d\/\d+ {2}not_json: /,
    ),
  });
  expect((await site.run('redrive --reason too_old --yes')).out).toBe(
    '0 redriven, 0 still unusable, 2 already redriven\n',
  );
  const ids = await site.ids('too_old');
  expect(await site.run(`redrive ${ids.join(' ')} --yes`)).toEqual({
    exitCode: 0,
    out: '2 redriven, 0 still unusable, 0 already redriven\n',
    err: '',
  });
  await site.running(async (pipeline) => {
    await sendAndSettle(pipeline, telemetryOf('boiler'), 'boiler-mark');
    await sendAndSettle(pipeline, telemetryOf('kettle'), 'kettle-mark');
    expect(await counted(pipeline, 'heat')).toBe(2);
    expect(await counted(pipeline, 'heat', { from: ts, to: ts + 1 })).toBe(2);
  });
});

test('a message beyond a budget is aggregated once after the budget was raised, however often it is redriven', async () => {
  const site = await Site.open();
  site.configure({ processor: { maxDevices: 1 } });
  const [first, second] = ['boiler', neighbourOf('boiler')];
  await site.running(async (pipeline) => {
    await publish(pipeline, [
      [telemetryOf(first), '{"seq":1,"metrics":{"heat":1}}'],
      [telemetryOf(second), '{"seq":1,"metrics":{"heat":1}}'],
    ]);
    await expect.poll(() => quarantined(pipeline), PATIENCE).toBe(1);
    await expect.poll(() => counted(pipeline, 'heat'), PATIENCE).toBe(1);
  });
  site.configure({});
  const [id] = await site.ids('budget_exceeded');
  for (let times = 0; times < 2; times++) {
    expect((await site.run(`redrive ${id} --yes`)).out).toMatch(/^1 redriven, /);
  }
  await site.running(async (pipeline) => {
    await expect.poll(() => counted(pipeline, 'heat'), PATIENCE).toBe(2);
    await sendAndSettle(pipeline, telemetryOf(second), 'mark');
    expect(await counted(pipeline, 'heat')).toBe(2);
  });
});

test('a message with neither seq nor ts is redriven again by force alone, and counts at the time of its receipt', async () => {
  const site = await Site.open();
  await site.running((pipeline) => publish(pipeline, [['plant/boiler', '{"heat":1}']]));
  const received = Date.now();
  expect((await site.run('redrive --all --yes')).out).toMatch(
    /^0 redriven, 1 still unusable \(unknown_topic 1\)/,
  );

  site.configure({ gateway: { topicTemplate: 'plant/{deviceId}' } });
  const [id] = await site.ids('unknown_topic');
  expect((await site.run(`redrive ${id} --yes`)).out).toBe(
    '1 redriven, 0 still unusable, 0 already redriven\n',
  );
  expect((await site.run(`redrive ${id} --yes`)).out).toBe(`\
0 redriven, 0 still unusable, 1 already redriven
1 of those already redriven have messages with neither "seq" nor "ts", which would count again; --force redrives them all the same
`);
  expect((await site.run(`redrive ${id} --yes --force`)).out).toMatch(/^1 redriven, /);
  await site.running(async (pipeline) => {
    await expect.poll(() => counted(pipeline, 'heat'), PATIENCE).toBe(2);
    expect(await counted(pipeline, 'heat', { from: received - 5_000, to: received })).toBe(2);
  });
});

test('events are listed and shown, open and redriven', async () => {
  const site = await Site.open();
  await site.running((pipeline) =>
    publish(pipeline, [
      ['plant/kettle', '{"seq":1,"heat":1}'],
      [telemetryOf('boiler'), '{"metrics":'],
      [telemetryOf('boiler'), 'true'],
    ]),
  );
  site.configure({ gateway: { topicTemplate: 'plant/{deviceId}' } });
  await site.run('redrive --reason unknown_topic --yes');

  const timeless = (text: string) => text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>');
  expect(timeless((await site.run('list')).out)).toBe(`\
ID   STATE     TIME (UTC)                REASON         DEVICE  ORIGIN                                   DETAIL
0/0  redriven  <time>  unknown_topic  plant   plant/kettle (client plant)              the topic "plant/kettle" names no device of the topic template
1/0  open      <time>  not_json       boiler  devices/boiler/telemetry (client plant)  not JSON (Unexpected end of JSON input)
1/1  open      <time>  not_an_object  boiler  devices/boiler/telemetry (client plant)  true; expected an object
`);
  expect(timeless((await site.run('list --limit 1 --device boiler')).out)).toBe(`\
ID   STATE  TIME (UTC)                REASON         DEVICE  ORIGIN                                   DETAIL
1/1  open   <time>  not_an_object  boiler  devices/boiler/telemetry (client plant)  true; expected an object
the newest 1 of 2
`);
  const [id = ''] = await site.ids('not_json');
  expect(timeless((await site.run(`show ${id}`)).out)).toBe(`\
id           1/0
state        open
quarantined  <time>
received     <time>
device       boiler
reason       not_json
detail       not JSON (Unexpected end of JSON input)
origin       devices/boiler/telemetry (client plant)
payload      11 bytes, text

{"metrics":
`);
  const [redriven = ''] = await site.ids('unknown_topic');
  expect(timeless((await site.run(`show ${redriven}`)).out)).toBe(`\
id           0/0
state        redriven <time> as telemetry record 2/0
quarantined  <time>
received     <time>
device       plant
reason       unknown_topic
detail       the topic "plant/kettle" names no device of the topic template
origin       plant/kettle (client plant)
payload      18 bytes, text

{"seq":1,"heat":1}
`);
  expect((await site.run('list --last 1ms')).out).toBe('nothing was quarantined\n');
  await expect(site.run('show 0/999')).rejects.toThrow(
    'no quarantined event 0/999: never written, or not kept any more',
  );
  await expect(site.run(`redrive ${id} 0/999 --yes`)).rejects.toThrow('no quarantined event 0/999');
});

test('nothing is redriven without a yes', async () => {
  const site = await Site.open();
  site.configure({ gateway: { topicTemplate: 'plant/{deviceId}' } });
  await site.running((pipeline) =>
    publish(pipeline, [
      ['elsewhere', '{"heat":1}'],
      ['plant/a', '{'],
    ]),
  );
  expect(await site.run('redrive --all', { confirm: undefined })).toMatchObject({
    exitCode: 1,
    err: 'error: nobody can be asked here; give --yes to redrive without being asked\n',
  });
  const asked: string[] = [];
  const confirm = async (question: string) => {
    asked.push(question);
    return false;
  };
  expect(await site.run('redrive --all', { confirm })).toMatchObject({
    exitCode: 0,
    out: 'nothing was redriven\n',
  });
  expect(asked).toEqual(['redrive 2 events (not_json 1, unknown_topic 1)?']);
});

test.each([
  ['redrive --yes', 'error: name events by their ids, or give --all, or --reason\n'],
  ['redrive 0/1 --all --yes', 'error: name events by their ids, or give --all, or --reason\n'],
  ['redrive 7 --yes', 'expected an id as `sluice quarantine list` prints it, such as 3/1042'],
  ['show x', 'expected an id as `sluice quarantine list` prints it, such as 3/1042'],
  ['list --last 1', 'expected a duration such as 30m, 12h or 7d'],
  ['list --limit 0', 'expected a whole number from 1 to 100000'],
  ['list --reason rain', 'Allowed choices are unknown_topic, payload_too_large'],
])('%s is refused', async (words, message) => {
  const site = await Site.open();
  const { exitCode, err } = await site.run(words);
  expect(exitCode).toBe(1);
  expect(err).toContain(message);
});

test('a folder that a running pipeline owns is refused, and the help says why', async () => {
  const site = await Site.open();
  await site.running(async () => {
    await expect(site.run('list')).rejects.toThrow(EventLogFolderError);
  });
  const { out } = await site.run('redrive --help');
  expect(out).toContain('With the embedded event log the pipeline must be stopped');
});
