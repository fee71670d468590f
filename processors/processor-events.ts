import type { Logger } from 'pino';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { RowsRefusedError } from '../metric-store/errors.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import type { FoldOutput } from './fold.ts';

/** One function per thing that happens in a processor: it counts it and, where a person should know, logs it. */
export interface ProcessorEvents {
  partitionAssigned(partition: number, from: bigint, openAggregates: number): void;
  partitionRevoked(partition: number): void;
  folded(partition: number, output: FoldOutput, lag: number, openAggregates: number): void;
  rowsWritten(rows: number): void;
  rowsRefused(error: RowsRefusedError, rows: readonly WindowAggregate[]): void;
  storeWriteFailed(error: unknown): void;
  logAppendFailed(error: unknown): void;
  consumerFailed(error: Error): void;
  /** `stalledMs` is how long the fold stood still for it, `savedMs` how long it took to become durable. */
  checkpointSaved(bytes: number, stalledMs: number, savedMs: number): void;
  checkpointFailed(error: unknown): void;
  /** A checkpoint cannot be used; an older one, or the start of the log, takes its place. */
  checkpointRefused(partition: number, error: unknown): void;
  /** The last failure that is not known to be over, for readiness. */
  failing(): string | undefined;
}

const LOG_INTERVAL_MS = 5_000;
/** A consumer that has not recovered fails again within this time; one that owns no partition has no other way to tell. */
const OVER_AFTER_MS = 60_000;

export function createProcessorEvents(registry: Registry, logger: Logger): ProcessorEvents {
  const counters = createCounters(registry);
  let storeFailure: string | undefined;
  let consumerFailure: { readonly reason: string; readonly at: number } | undefined;
  let lastLogged = Number.NEGATIVE_INFINITY;
  const logFailure = (what: string, error: unknown) => {
    if (performance.now() - lastLogged < LOG_INTERVAL_MS) return;
    lastLogged = performance.now();
    logger.warn({ err: error }, `${what}, retrying`);
  };
  return {
    partitionAssigned(partition, from, openAggregates) {
      consumerFailure = undefined;
      // Tells who owns a partition before anything is folded of it.
      counters.open.set({ partition }, openAggregates);
      logger.info({ partition, offset: from.toString() }, 'partition assigned');
    },
    partitionRevoked(partition) {
      counters.lag.remove({ partition });
      counters.open.remove({ partition });
      logger.info({ partition }, 'partition revoked');
    },
    folded(partition, { counts, quarantined }, lag, openAggregates) {
      consumerFailure = undefined;
      counters.messages.inc({ outcome: 'accepted' }, counts.messages);
      for (const { reason } of quarantined) counters.quarantined.inc({ reason });
      counters.messages.inc({ outcome: 'duplicate' }, counts.duplicates);
      counters.messages.inc({ outcome: 'quarantined' }, quarantined.length);
      counters.readings.inc(counts.readings);
      counters.late.inc(counts.late);
      counters.skipped.inc(counts.skipped);
      counters.ticks.inc(counts.ticks);
      counters.lag.set({ partition }, lag);
      counters.open.set({ partition }, openAggregates);
    },
    rowsWritten(rows) {
      counters.rows.inc(rows);
      if (storeFailure !== undefined) logger.info('the metric store takes rows again');
      storeFailure = undefined;
      counters.storeDown.set(0);
    },
    rowsRefused(error, rows) {
      counters.refused.inc(error.refused.length);
      const [first] = error.refused;
      const { deviceId, metric, windowStart } = rows[first?.index ?? 0] ?? {};
      logger.error({ err: error, deviceId, metric, windowStart }, 'the metric store refused rows for good');
    },
    storeWriteFailed(error) {
      counters.storeFailures.inc();
      counters.storeDown.set(1);
      storeFailure = `metric store: ${messageOf(error)}`;
      logFailure('writing rows failed', error);
    },
    logAppendFailed(error) {
      counters.logFailures.inc();
      logFailure('appending to the event log failed', error);
    },
    consumerFailed(error) {
      counters.consumerFailures.inc();
      consumerFailure = { reason: `event log: ${error.message}`, at: performance.now() };
      logFailure('consuming telemetry failed', error);
    },
    checkpointSaved(bytes, stalledMs, savedMs) {
      counters.checkpoints.inc();
      counters.checkpointBytes.set(bytes);
      counters.checkpointStall.set(stalledMs / 1_000);
      counters.checkpointSave.set(savedMs / 1_000);
    },
    checkpointFailed(error) {
      counters.checkpointFailures.inc();
      logFailure('saving a checkpoint failed', error);
    },
    checkpointRefused(partition, error) {
      counters.checkpointsRefused.inc();
      logger.error(
        { err: error, partition },
        'a checkpoint cannot be used, taking the one before or the start of the log',
      );
    },
    failing() {
      const isOver = consumerFailure === undefined || performance.now() - consumerFailure.at > OVER_AFTER_MS;
      return storeFailure ?? (isOver ? undefined : consumerFailure?.reason);
    },
  };
}

function createCounters(registry: Registry) {
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
  return {
    messages: new Counter({
      name: 'sluice_processor_messages_total',
      help: 'Device messages read from the log, by outcome',
      labelNames: ['outcome'],
      registers,
    }),
    quarantined: new Counter({
      name: 'sluice_processor_quarantined_messages_total',
      help: 'Device messages that the processor quarantined, by reason',
      labelNames: ['reason'],
      registers,
    }),
    readings: counter('sluice_processor_readings_total', 'Readings folded into windows'),
    late: counter('sluice_processor_late_readings_total', 'Readings that opened or joined a late pane'),
    skipped: counter(
      'sluice_processor_skipped_values_total',
      'Values that are neither a finite number nor a boolean',
    ),
    ticks: counter('sluice_processor_ticks_total', 'Tick records read'),
    rows: counter('sluice_processor_rows_total', 'Rows made durable in the metric store'),
    refused: counter('sluice_processor_refused_rows_total', 'Rows that the metric store refused for good'),
    storeFailures: counter('sluice_processor_store_failures_total', 'Failed attempts to write rows'),
    logFailures: counter('sluice_processor_log_failures_total', 'Failed attempts to append to the event log'),
    consumerFailures: counter(
      'sluice_processor_consumer_failures_total',
      'Failures that the consumer recovered from',
    ),
    checkpoints: counter('sluice_processor_checkpoints_total', 'Checkpoints made durable'),
    checkpointFailures: counter(
      'sluice_processor_checkpoint_failures_total',
      'Checkpoints that could not be saved',
    ),
    checkpointsRefused: counter(
      'sluice_processor_refused_checkpoints_total',
      'Checkpoints that could not be used',
    ),
    checkpointBytes: gauge('sluice_processor_checkpoint_bytes', 'Size of the latest checkpoint'),
    checkpointStall: gauge(
      'sluice_processor_checkpoint_stall_seconds',
      'Time that the fold stood still for the latest checkpoint',
    ),
    checkpointSave: gauge(
      'sluice_processor_checkpoint_save_seconds',
      'Time until the latest checkpoint was durable',
    ),
    storeDown: new Gauge({
      name: 'sluice_processor_store_down',
      help: '1 while the last attempt to write rows failed',
      registers,
    }),
    lag: new Gauge({
      name: 'sluice_processor_lag_records',
      help: 'Records in the partition that are not folded yet',
      labelNames: ['partition'],
      registers,
    }),
    open: new Gauge({
      name: 'sluice_processor_open_aggregates',
      help: 'Aggregates in open panes',
      labelNames: ['partition'],
      registers,
    }),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
