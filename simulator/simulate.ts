import { fileURLToPath } from 'node:url';
import { Fleet } from './fleet/fleet.ts';
import { createFleetWorkload } from './fleet-workload.ts';
import { LiveLine, type SimulateOutput } from './progress.ts';
import { readRecording } from './recording.ts';
import { createReplayWorkload, defaultCompression } from './replay-workload.ts';
import { checkOptions, type ReplaySource, type SimulateOptions } from './simulate-options.ts';
import { Expectations } from './verdict/expectation.ts';
import { QueryClient } from './verdict/query-client.ts';
import { checkReplay, type ReplayCheck } from './verdict/replay-check.ts';
import { type Comparison, settle } from './verdict/settle.ts';
import { StoreView } from './verdict/store-view.ts';
import { drawVerdict, type RunDescription, type Verdict } from './verdict/verdict.ts';
import { count } from './verdict/verdict-text.ts';
import type { Content, Workload } from './workload.ts';

const DEFAULTS = { seed: 1, maxInFlight: 100, drainTimeoutMs: 60_000, settleTimeoutMs: 90_000 };
const CONNECT_TIMEOUT_MS = 60_000;
const CONNECT_CONCURRENCY = 50;
const DEFAULT_REPLAY_RATE = 1_000;
const NAB = fileURLToPath(new URL('recordings/nab/ambient_temperature_system_failure.csv', import.meta.url));

/** What a run sends, and how it can be compared. */
interface Plan {
  readonly workload: Workload;
  readonly description: string;
  readonly replay: { readonly file: string; readonly metric: string; readonly compress: number } | null;
}

/**
 * Sends what the options say, keeps a ledger, and compares the aggregates with it. An abort while it sends stops the
 * sending, an abort while it waits for the aggregates ends the waiting; there is a verdict either way.
 *
 * Rejects with a `SimulatorError` when options cannot be used, devices cannot connect, or the query API cannot be
 * asked. A pipeline that loses messages is no error but a verdict that is not ok.
 */
export async function simulate(
  options: SimulateOptions,
  output: SimulateOutput,
  signal: AbortSignal,
): Promise<Verdict> {
  checkOptions(options);
  const { qos = 1, seed = DEFAULTS.seed, runId = Date.now().toString(36), allowDuplicates = false } = options;
  const plan = await planRun(options, runId, seed);
  const { workload } = plan;
  const devices = workload.deviceIds.length;
  const fleet = new Fleet({
    url: options.mqttUrl,
    qos,
    workload,
    seed,
    maxInFlight: options.maxInFlight ?? DEFAULTS.maxInFlight,
    drainTimeoutMs: options.drainTimeoutMs ?? DEFAULTS.drainTimeoutMs,
    connectConcurrency: CONNECT_CONCURRENCY,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
  });
  output.write(`run ${runId}: ${count(workload.schedule.total)} messages from ${count(devices)} device(s)\n`);
  const sent = await send(fleet, output, signal);
  const described = { runId, source: plan.description, devices, qos, seed, allowDuplicates };
  const run: RunDescription = {
    ...described,
    startedAt: new Date(sent.startMs).toISOString(),
    durationMs: sent.durationMs,
  };
  return judge({ options, plan, fleet, run, ...sent }, output, signal);
}

async function planRun({ source }: SimulateOptions, runId: string, seed: number): Promise<Plan> {
  if (source.kind === 'fleet') {
    return {
      workload: createFleetWorkload({ ...source, seed, runId }),
      description: source.profile,
      replay: null,
    };
  }
  return planReplay(source, runId);
}

async function planReplay(source: ReplaySource, runId: string): Promise<Plan> {
  const bundled = source.file === 'nab';
  const file = bundled ? NAB : source.file;
  const recording = await readRecording(file);
  const { metric = bundled ? 'temperature' : 'value', batch = 1, rate = DEFAULT_REPLAY_RATE } = source;
  const compress = source.compress ?? defaultCompression(recording);
  return {
    workload: createReplayWorkload({ recording, metric, compress, batch, rate, runId }),
    description: `replay of ${source.file}, ${compress} times faster`,
    replay: { file, metric, compress },
  };
}

interface Sent {
  readonly content: Content;
  /** Ms since the epoch. */
  readonly startMs: number;
  readonly durationMs: number;
}

async function send(fleet: Fleet, output: SimulateOutput, signal: AbortSignal): Promise<Sent> {
  const live = new LiveLine(output, () => describe(fleet));
  try {
    await fleet.connect(signal);
    const startMs = Date.now();
    const startedAt = performance.now();
    const content = await fleet.run(signal);
    return { content, startMs, durationMs: performance.now() - startedAt };
  } finally {
    live.close();
    await fleet.close();
  }
}

function describe(fleet: Fleet): string {
  const { elapsedMs, due, sent, acknowledged, inFlight, connected, p99Ms } = fleet.progress();
  const rate = elapsedMs > 0 ? (acknowledged / elapsedMs) * 1_000 : 0;
  const p99 = p99Ms === null ? '' : `, p99 ${p99Ms.toFixed(1)} ms`;
  const behind = due > sent ? `, ${count(due - sent)} overdue` : '';
  return `${(elapsedMs / 1_000).toFixed(0)} s: ${count(connected)} connected, ${count(sent)} sent, ${count(acknowledged)} acknowledged (${count(rate)} msg/s), ${count(inFlight)} in flight${behind}${p99}`;
}

interface Run extends Sent {
  readonly options: SimulateOptions;
  readonly plan: Plan;
  readonly fleet: Fleet;
  readonly run: RunDescription;
}

async function judge(given: Run, output: SimulateOutput, signal: AbortSignal): Promise<Verdict> {
  const { options, plan, fleet, run, content, startMs, durationMs } = given;
  const { ledger } = fleet;
  const client = new QueryClient(options.apiUrl);
  const view = new StoreView(client, plan.workload, content);
  const expectations = await Expectations.compute(plan.workload, content, ledger);
  let counted = 'waiting for the aggregates';
  const live = new LiveLine(output, () => counted);
  try {
    const uncertain = ledger.totalRepeated > 0 || ledger.totalAcknowledged < ledger.totalSent;
    const comparison = await settle(
      view,
      expectations,
      {
        timeoutMs: options.settleTimeoutMs ?? DEFAULTS.settleTimeoutMs,
        lastSentMs: startMs + durationMs,
        uncertain,
      },
      (have, certain) => {
        counted = `${count(have)} of ${count(certain)} acknowledged messages are in the aggregates`;
      },
      // A run that was stopped while sending is judged as patiently as any other.
      signal.aborted ? new AbortController().signal : signal,
    );
    const replay = await checkPlannedReplay(given, client, comparison, view.resolutionMs);
    return drawVerdict(run, fleet, comparison, replay);
  } finally {
    live.close();
  }
}

/** Buckets can be compared exactly only when the whole file is in the aggregates, once. */
async function checkPlannedReplay(
  { plan, fleet, content }: Run,
  client: QueryClient,
  { complete, countedTwice }: Comparison,
  resolutionMs: number | undefined,
): Promise<ReplayCheck | null> {
  const whole = fleet.ledger.totalAcknowledged === plan.workload.schedule.total;
  if (plan.replay === null || resolutionMs === undefined) return null;
  if (!whole || !complete || countedTwice > 0) return null;
  return checkReplay(client, {
    ...plan.replay,
    deviceId: plan.workload.deviceIds[0] ?? '',
    startMs: content.lastTimestamp,
    resolutionMs,
  });
}
