import { describe, expect, test } from 'vitest';
import type { FaultOutcome } from './execution.ts';
import type { FaultKind } from './fault.ts';
import { drawReport, type Findings } from './report.ts';
import { formatReport } from './report-text.ts';

function outcome(kind: FaultKind, times: Partial<FaultOutcome>): FaultOutcome {
  const fault = { kind, target: 'target', atMs: times.beganMs ?? 0, durationMs: 1_000 };
  return { fault, beganMs: 0, healedMs: 1_000, readyMs: 1_500, caughtUpMs: 2_000, error: null, ...times };
}

const GOOD = {
  options: {
    engine: 'scaled-out',
    seed: 7,
    seconds: 60,
    rate: 2_000,
    devices: 200,
    allowDuplicates: false,
  },
  outcomes: [outcome('cut-kafka', {})],
  verdict: {
    ok: true,
    reasons: [],
    run: { runId: 'r', startedAt: '2026-01-01T00:00:00.000Z', durationMs: 60_000 },
    messages: {
      due: 120_000,
      sent: 120_000,
      unsent: 0,
      acknowledged: 120_000,
      unknown: 0,
      repeated: 20,
      missing: 0,
      countedTwice: 0,
    },
    rate: { intended: 2_000, achieved: 1_990 },
    latencyMs: { p50: 5, p99: 900, max: 12_000 },
    connectionsLost: 3,
    aggregates: { waitedMs: 9_000, compared: 800, differing: 0 },
  },
  verification: {
    kind: 'agrees',
    text: '',
    balance: {
      messages: { accepted: 120_030, aggregated: 120_000, duplicates: 30, quarantined: 0 },
      windows: [
        { resolutionMs: 10_000, compared: 4_800, open: 0 },
        { resolutionMs: 60_000, compared: 0, open: 800 },
      ],
    },
  },
  restarts: { 'gateway-1': 2 },
  crashes: [],
  uncleanStops: [],
  errorsLogged: { 'gateway: away': 3 },
  resources: { peakMemoryBytes: 100 * 2 ** 20, storedBytes: 3 * 2 ** 30 },
} satisfies Findings;

const { balance } = GOOD.verification;

/** The log has what was acknowledged. */
function withMessages(counts: Partial<Findings['verdict']['messages']>): Findings {
  const messages = { ...GOOD.verdict.messages, ...counts };
  const verification = withAggregated(messages.acknowledged);
  return { ...GOOD, verdict: { ...GOOD.verdict, messages }, verification };
}

function withAggregated(aggregated: number): Findings['verification'] {
  const messages = { ...balance.messages, aggregated };
  return { ...GOOD.verification, balance: { ...balance, messages } };
}

describe('a run passes', () => {
  test.each<[string, Findings]>([
    ['when nothing is missing, counted twice or different', GOOD],
    [
      'with messages counted twice where that is permitted',
      { ...withMessages({ countedTwice: 5 }), options: { ...GOOD.options, allowDuplicates: true } },
    ],
    [
      'though a fault was not followed by a calm moment',
      { ...GOOD, outcomes: [outcome('cut-kafka', { caughtUpMs: null })] },
    ],
  ])('%s', (_, findings) => {
    expect(drawReport(findings)).toMatchObject({ ok: true, reasons: [] });
  });
});

describe('a run fails', () => {
  test.each<[string, Findings]>([
    ['acknowledged messages missing: 2', withMessages({ missing: 2 })],
    ['messages counted twice: 5', withMessages({ countedTwice: 5 })],
    ['nothing was acknowledged', withMessages({ acknowledged: 0 })],
    ['messages not acknowledged after all faults had ended: 7', withMessages({ unsent: 3, unknown: 4 })],
    [
      'aggregates that differ: 1',
      { ...GOOD, verdict: { ...GOOD.verdict, aggregates: { ...GOOD.verdict.aggregates, differing: 1 } } },
    ],
    [
      'something the simulator alone knows',
      { ...GOOD, verdict: { ...GOOD.verdict, ok: false, reasons: ['something the simulator alone knows'] } },
    ],
    [
      'sluice verify finds differences',
      { ...GOOD, verification: { ...GOOD.verification, kind: 'disagrees' } },
    ],
    [
      'the log has 119999 messages that count, acknowledged were 120000',
      { ...GOOD, verification: withAggregated(119_999) },
    ],
    [
      'the log has 120001 messages that count, acknowledged were 120000',
      { ...GOOD, verification: withAggregated(120_001) },
    ],
    [
      'sluice verify compared no windows',
      { ...GOOD, verification: { ...GOOD.verification, balance: { ...balance, windows: [] } } },
    ],
    ['the load ended early: 60000 messages of 120000', withMessages({ due: 60_000 })],
    ['nothing was hurt', { ...GOOD, outcomes: [] }],
    ['sluice verify could not compare', { ...GOOD, verification: { kind: 'failed', text: '' } }],
    ['ended by itself: gateway-1 (exit code 1)', { ...GOOD, crashes: ['gateway-1 (exit code 1)'] }],
    ['did not stop cleanly: api: SIGKILL', { ...GOOD, uncleanStops: ['api: SIGKILL'] }],
    [
      'after kill-kafka of target: does not come back',
      { ...GOOD, outcomes: [outcome('kill-kafka', { readyMs: null, error: 'does not come back' })] },
    ],
  ])('because of %s', (reason, findings) => {
    expect(drawReport(findings)).toMatchObject({ ok: false, reasons: [reason] });
  });
});

test('recovery is measured from the kill, from the restart, and to the moment of having caught up', () => {
  const outcomes = [
    outcome('kill-gateway', { beganMs: 0, healedMs: 1_000, readyMs: 1_400, caughtUpMs: 1_600 }),
    outcome('kill-processor', { beganMs: 10_000, healedMs: 13_000, readyMs: 14_000, caughtUpMs: 17_000 }),
    outcome('stall-kafka', { beganMs: 16_000, healedMs: 16_500, readyMs: 16_500, caughtUpMs: 17_000 }),
    outcome('kill-kafka', { beganMs: 20_000, healedMs: 20_500, readyMs: 29_000, caughtUpMs: null }),
  ];
  const { recovery, faultsByKind } = drawReport({ ...GOOD, outcomes });
  expect(recovery).toEqual({
    killToReady: { count: 2, p50Ms: 1_400, maxMs: 4_000 },
    restartToReady: { count: 2, p50Ms: 400, maxMs: 1_000 },
    healedToCaughtUp: { count: 3, p50Ms: 600, maxMs: 4_000 },
    undisturbed: { count: 1, p50Ms: 600, maxMs: 600 },
    notCaughtUp: 1,
  });
  expect(faultsByKind).toEqual({ 'kill-gateway': 1, 'kill-processor': 1, 'stall-kafka': 1, 'kill-kafka': 1 });
});

test('the text says what was found and how to run it again', () => {
  const report = drawReport({
    ...withMessages({ missing: 2 }),
    outcomes: [outcome('kill-gateway', { beganMs: 7_100, healedMs: 8_000, caughtUpMs: 10_000 })],
  });
  const text = formatReport(report);
  for (const line of [
    /^run +scaled-out, seed 7, 60 s, 200 devices$/m,
    /^ {2}7\.1 s +kill-gateway target/m,
    /^kills +1 in all: 1 x kill-gateway$/m,
    /^restarts +2 in all: 2 x gateway-1$/m,
    /^messages +120,000 sent of 120,000 due, 120,000 acknowledged$/m,
    /^rate +1,990 msg\/s acknowledged, 2,000 intended$/m,
    /^ {2}balance +120,030 in the log = 120,000 aggregated \+ 30 duplicate \+ 0 quarantined$/m,
    /^ {2}windows +4,800 of 10 s, 0 of 60 s compared$/m,
    /^time to recover +p50 2\.0 s, max 2\.0 s \(1\)/m,
    /^harness +100 MiB of memory at most; 3,072 MiB stored$/m,
    /^missing +2$/m,
    /^counted twice +0$/m,
    /^differing +0 of 800 aggregates$/m,
    /^sluice verify +agrees$/m,
    /^ {2}error logged +3 x gateway: away$/m,
    /^verdict +FAIL: acknowledged messages missing: 2$/m,
    /^again +npm run chaos -- --engine scaled-out --seed 7 --seconds 60 --rate 2000 --devices 200$/m,
  ]) {
    expect(text).toMatch(line);
  }
});
