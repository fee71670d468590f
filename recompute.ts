import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { type Config, foldConfigOf } from './config/schema.ts';
import type { EventLog } from './event-log/event-log.ts';
import { topicNames } from './event-log/topics.ts';
import { createLogger } from './logging.ts';
import type { MetricStore } from './metric-store/metric-store.ts';
import { openEventLog, openMetricStore, resolutionsOf } from './pipeline.ts';
import { restoreFold } from './processors/fold-restore.ts';
import { createProcessorEvents } from './processors/processor-events.ts';
import { type ReplayOptions, type ReplayResult, replay } from './processors/replay/replay.ts';
import { createReplayCommand } from './processors/replay/replay-command.ts';
import { type VerifyOptions, verify } from './processors/verify/verify.ts';
import { createVerifyCommand } from './processors/verify/verify-command.ts';
import type { FoldedPosition, VerifyResult } from './processors/verify/verify-result.ts';
import { parseInstant } from './query/instant.ts';
import { stopSignal } from './serve.ts';

export interface RecomputeDependencies {
  load(): Config;
  write(text: string): void;
  readonly isTerminal: boolean;
}

/** Time between checkpoints of a replay, ms: what an interrupted one folds again. */
const REPLAY_CHECKPOINT_INTERVAL_MS = 5_000;

/** `sluice verify` and `sluice replay`: what computes aggregates from the log a second time. */
export function createRecomputeCommands(dependencies: RecomputeDependencies): Command[] {
  const { load, write, isTerminal } = dependencies;
  const output = { write, isTerminal, parseInstant, fail };
  let stop: AbortSignal | undefined;
  const begin = (): Engines => {
    const config = load();
    const logger = createLogger({ ...config.logging, level: quieter(config) }, process.stderr.isTTY);
    stop = stopSignal(logger);
    return { config, logger, signal: stop };
  };
  return [
    createVerifyCommand({ ...output, verify: (asked) => verifyConfigured(begin(), asked) }),
    createReplayCommand({
      ...output,
      replay: (asked) => replayConfigured(begin(), asked),
      ask: process.stdin.isTTY ? (question) => ask(question, stop) : undefined,
      isInterrupted: () => stop?.aborted === true,
    }),
  ];
}

/** What every run needs from its surroundings. */
interface Engines {
  readonly config: Config;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

function verifyConfigured(
  engines: Engines,
  asked: Pick<VerifyOptions, 'from' | 'to' | 'maxDifferences' | 'maxKept' | 'onProgress'>,
): Promise<VerifyResult> {
  const { config, logger, signal } = engines;
  const { retention, quarantineRetention, topicPrefix } = config.eventLog;
  return withEngines(engines, (log, store) =>
    verify({
      ...asked,
      log,
      store,
      topics: topicNames(topicPrefix),
      fold: foldConfigOf(config.processor),
      resolutions: resolutionsOf(config),
      retentionMs: { telemetry: retention, quarantine: quarantineRetention },
      foldedPosition: (partition) => foldedPosition(engines, log, partition),
      clock: Date.now,
      signal,
      onFailure: (error) => logger.warn({ err: error }, 'reading the event log failed, retrying'),
    }),
  );
}

/** Up to where the configured group has folded a partition, as its newest checkpoint tells. */
async function foldedPosition(
  { config, logger }: Engines,
  log: EventLog,
  partition: number,
): Promise<FoldedPosition | undefined> {
  const { processor } = config;
  const events = createProcessorEvents(new Registry(), logger);
  const { state } = await restoreFold(log, processor.group, partition, foldConfigOf(processor), events);
  return state.nextOffset === 0n ? undefined : { nextOffset: state.nextOffset, logTime: state.logTime };
}

function replayConfigured(
  engines: Engines,
  asked: Pick<ReplayOptions, 'from' | 'to' | 'isRestart' | 'confirm' | 'onProgress'>,
): Promise<ReplayResult | undefined> {
  const { config, logger, signal } = engines;
  const { maxConcurrentWrites, maxRowsPerWrite } = config.processor;
  return withEngines(engines, (log, store) =>
    replay({
      ...asked,
      log,
      store,
      topics: topicNames(config.eventLog.topicPrefix),
      fold: foldConfigOf(config.processor),
      retentionMs: config.eventLog.retention,
      maxConcurrentWrites,
      maxRowsPerWrite,
      checkpointIntervalMs: REPLAY_CHECKPOINT_INTERVAL_MS,
      clock: Date.now,
      logger,
      signal,
    }),
  );
}

async function withEngines<T>(
  { config, logger, signal }: Engines,
  run: (log: EventLog, store: MetricStore) => Promise<T>,
): Promise<T> {
  const store = await openMetricStore(config, logger, signal);
  try {
    const log = await openEventLog(config, logger, signal);
    try {
      return await run(log, store);
    } finally {
      await log.close();
    }
  } finally {
    await store.close();
  }
}

/** These commands talk through their output; the log is for what goes wrong. */
function quieter({ logging }: Config): Config['logging']['level'] {
  return logging.level === 'info' ? 'warn' : logging.level;
}

async function ask(question: string, signal: AbortSignal | undefined): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${question} [y/N] `, signal === undefined ? {} : { signal });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}

/** As the command line reports errors. */
function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? ` [${String(error.code)}]` : '';
  process.stderr.write(`sluice: ${message}${code}\n`);
}
