import { describe, expect, test } from 'vitest';
import type { MetricStore, WindowAggregate } from '../../metric-store/metric-store.ts';
import { FOLD_CONFIG } from '../fold.fixture.ts';
import {
  BEGINNING,
  LOG_RETENTION_MS,
  logger,
  RecordedRun,
  rowsOf,
  sendEverything,
  TOPICS,
} from '../recorded-run.fixture.ts';
import { type ReplayOptions, type ReplayResult, replay } from './replay.ts';

/** The windows of a range that begins and ends in the middle of the coarsest ones, long after the log does. */
const FROM = BEGINNING + 127_000;
const TO = BEGINNING + 193_000;

function replayRun(
  run: RecordedRun,
  options: Partial<ReplayOptions> = {},
): Promise<ReplayResult | undefined> {
  return replay({
    log: run.log,
    store: run.store,
    topics: TOPICS,
    fold: run.fold,
    retentionMs: LOG_RETENTION_MS,
    from: FROM,
    to: TO,
    isRestart: false,
    maxConcurrentWrites: 4,
    maxRowsPerWrite: 50,
    checkpointIntervalMs: 0,
    clock: () => run.now,
    logger,
    signal: new AbortController().signal,
    confirm: async () => true,
    ...options,
  });
}

async function foldedRun(fold = FOLD_CONFIG): Promise<RecordedRun> {
  const run = await RecordedRun.open(fold);
  await sendEverything(run, 230_000);
  await run.tick(60_000);
  await run.foldAll();
  return run;
}

function isInRange({ windowStart }: WindowAggregate): boolean {
  return windowStart >= FROM && windowStart < TO;
}

/** A store that has lost the rows of the range. */
async function lossyCopy(run: RecordedRun): Promise<MetricStore> {
  const rows = [...(await rowsOf(run.store)).values()];
  const kept = rows.filter((row) => !isInRange(row));
  expect(rows.length - kept.length).toBeGreaterThan(200);
  return run.copyOf(kept);
}

test('a range that was lost comes back row for row, bit for bit, and nothing else is written', async () => {
  const run = await foldedRun();
  const lost = await lossyCopy(run);
  const before = await rowsOf(lost);
  const ends = async () => [
    await run.log.offsets(TOPICS.telemetry, 0),
    await run.log.offsets(TOPICS.quarantine, 0),
    await run.foldedPosition(0),
    await run.foldedPosition(1),
  ];
  const untouched = await ends();
  const result = await replayRun(run, { store: lost });
  const original = await rowsOf(run.store);
  expect(await rowsOf(lost)).toEqual(original);
  expect(result).toMatchObject({ rows: original.size - before.size, open: 0, rowsRefused: 0, readmitted: 0 });
  expect(await ends()).toEqual(untouched);
});

test('a replay over rows that are there changes nothing', async () => {
  const run = await foldedRun();
  const original = await rowsOf(run.store);
  await replayRun(run);
  expect(await rowsOf(run.store)).toEqual(original);
});

test('a replay that was interrupted goes on where it was, and one that finished begins again', async () => {
  const run = await foldedRun();
  const lost = await lossyCopy(run);
  const original = await rowsOf(run.store);
  const stop = new AbortController();
  const reason = new Error('interrupted');
  const onProgress: ReplayOptions['onProgress'] = ({ done, total }) => {
    if (done > total / 3) stop.abort(reason);
  };
  let planned = 0;
  const confirm: ReplayOptions['confirm'] = async ({ records }) => {
    planned = records;
    return true;
  };
  await expect(replayRun(run, { store: lost, signal: stop.signal, confirm, onProgress })).rejects.toBe(
    reason,
  );
  const whole = planned;
  expect((await rowsOf(lost)).size).toBeLessThan(original.size);

  await replayRun(run, { store: lost, confirm });
  expect(planned).toBeLessThan(whole);
  expect(await rowsOf(lost)).toEqual(original);

  const again = await lossyCopy(run);
  await replayRun(run, { store: again, confirm });
  expect(planned).toBe(whole);
  expect(await rowsOf(again)).toEqual(original);
});

test('a replay that was interrupted with rows in hand makes them again', async () => {
  const run = await foldedRun();
  const lost = await lossyCopy(run);
  const stop = new AbortController();
  const onProgress = () => stop.abort(new Error('interrupted'));
  const inHand = { store: lost, maxRowsPerWrite: 1_000_000, checkpointIntervalMs: 1e9 };
  await expect(replayRun(run, { ...inHand, signal: stop.signal, onProgress })).rejects.toThrow('interrupted');
  await replayRun(run, inHand);
  expect(await rowsOf(lost)).toEqual(await rowsOf(run.store));
});

test('an interrupted replay begins again when it is told to', async () => {
  const run = await foldedRun();
  const stop = new AbortController();
  const plans: number[] = [];
  const confirm: ReplayOptions['confirm'] = async ({ records }) => plans.push(records) > 0;
  const onProgress = () => stop.abort(new Error('interrupted'));
  await expect(replayRun(run, { signal: stop.signal, confirm, onProgress })).rejects.toThrow('interrupted');
  await replayRun(run, { isRestart: true, confirm });
  expect(plans[1]).toBe(plans[0]);
});

test('panes that the budget closed early come back with their numbers', async () => {
  // Late readings in the range only, so that the budget is not exhausted before it.
  const run = await RecordedRun.open({ ...FOLD_CONFIG, maxOpenAggregates: 12 });
  const send = async (untilMs: number, isLate: boolean) => {
    for (let seq = run.now; run.now < BEGINNING + untilMs; run.now += 200, seq += 10) {
      await run.send('counting-a', { ageMs: 0, seq, metrics: { t: seq % 17 } });
      if (!isLate) continue;
      for (let n = 1; n < 8; n++)
        await run.send('counting-a', { ageMs: n * 2_000, seq: seq + n, metrics: { t: n } });
    }
  };
  await send(130_000, false);
  await send(150_000, true);
  await run.tick(60_000);
  await run.foldAll();
  const original = await rowsOf(run.store);
  const forced = [...original.values()].filter((row) => isInRange(row) && row.pane > 60);
  expect(forced.length).toBeGreaterThan(10);
  const lost = await run.copyOf([...original.values()].filter((row) => !isInRange(row)));
  expect(await replayRun(run, { store: lost })).toMatchObject({ closedEarly: forced.length });
  expect(await rowsOf(lost)).toEqual(original);
});

test('messages that the live run refused for what it knew from long before are left out as well', async () => {
  const run = await RecordedRun.open({ ...FOLD_CONFIG, maxAgeMs: 200_000, maxDevices: 1 });
  await run.send('counting-a', { ageMs: 0, seq: 1, metrics: { t: 1 } });
  run.now = FROM;
  await run.send('counting-b', { ageMs: 0, seq: 1, metrics: { t: 2 } });
  await run.tick(60_000);
  await run.foldAll();
  run.now += 1;
  const lost = await run.openStore();
  expect(await replayRun(run, { store: lost, from: FROM - 60_000 })).toMatchObject({
    rows: 0,
    readmitted: 0,
  });
});

test('what is still open at the end of the log is left to the live run', async () => {
  const run = await RecordedRun.open();
  run.now = BEGINNING + 140_000;
  await run.send('d1', { ageMs: 0, metrics: { t: 1 } });
  await run.tick(2_000);
  expect(await replayRun(run)).toMatchObject({ rows: 1, open: 1 });
});

describe('nothing is written', () => {
  test('when it is not confirmed', async () => {
    const run = await RecordedRun.open();
    run.now = FROM;
    await run.send('d1', { ageMs: 0, metrics: { t: 1 } });
    await run.tick(60_000);
    expect(await replayRun(run, { confirm: async () => false })).toBeUndefined();
    expect((await rowsOf(run.store)).size).toBe(0);
  });

  test('when retention has deleted records of the range', async () => {
    const run = await foldedRun();
    await run.expire(FROM);
    await expect(replayRun(run)).rejects.toMatchObject({ code: 'REPLAY_INPUT_MISSING' });
  });

  test('from a gap in the log on', async () => {
    const run = await foldedRun();
    const [partition] = await run.log.offsets(TOPICS.telemetry, FROM - 20_000);
    await run.removeBatchAt(0, partition?.atLogTime ?? 0n);
    const lost = await run.openStore();
    await expect(replayRun(run, { store: lost })).rejects.toMatchObject({ code: 'REPLAY_INPUT_MISSING' });
  });
});
