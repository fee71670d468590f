import pLimit from 'p-limit';
import { FleetConnectError } from '../errors.ts';
import { Ledger } from '../ledger/ledger.ts';
import { uniform } from '../profiles/noise.ts';
import type { Content, Workload } from '../workload.ts';
import { createClientLinks } from './client-link.ts';
import type { DeviceLink, LinkOpener, QoS } from './device-link.ts';
import { LatencyHistogram } from './latency.ts';
import { createRawLinks } from './raw-link.ts';

export interface FleetOptions {
  /** Address of the MQTT server, `mqtt://host:port`. */
  readonly url: string;
  readonly qos: QoS;
  readonly workload: Workload;
  readonly seed: number;
  /**
   * Most unacknowledged messages of one device, 1 to 1,000. Messages that are due beyond it wait: they are counted,
   * not stored, and sent as acknowledgements come in.
   */
  readonly maxInFlight: number;
  /** Connections being opened at once. */
  readonly connectConcurrency: number;
  /** Time for all devices to connect, ms. */
  readonly connectTimeoutMs: number;
  /** How long outstanding messages and acknowledgements are waited for once the last message is due, ms. */
  readonly drainTimeoutMs: number;
}

/** Figures of a run so far. */
export interface FleetProgress {
  readonly elapsedMs: number;
  readonly due: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly inFlight: number;
  readonly connected: number;
  readonly p99Ms: number | null;
}

/** A message sent this long after it was due is an overrun, ms. */
export const OVERRUN_MS = 100;
/** How long acknowledgements are waited for after the run was stopped early, ms. */
const STOP_GRACE_MS = 5_000;
const RECONNECT_MS = { least: 500, spread: 1_000 };
const RECONNECT_PURPOSE = 101;
const LONGEST_SLEEP_MS = 1_000;
const REFUSED_CODES = new Set<unknown>([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'SIMULATOR_CONNECTION_REFUSED',
]);

/**
 * A fleet of devices with a connection each. The load is open: messages are due by the schedule alone, and their
 * latency counts from then, so that a server that stalls is seen to stall. No due message is skipped.
 */
export class Fleet {
  readonly ledger: Ledger;
  /** From the time at which a message was due to its PUBACK or PUBCOMP. Empty with QoS 0. */
  readonly latency = new LatencyHistogram();
  /** From the time at which a message was due to its first sending. */
  readonly scheduleDelay = new LatencyHistogram();
  readonly #options: FleetOptions;
  readonly #openLink: LinkOpener;
  readonly #links: DeviceLink[] = [];
  readonly #due: number[];
  #run: Run | undefined;
  #totalDue = 0;
  #overruns = 0;
  #connectionsLost = 0;
  #lastError: Error | undefined;
  #everConnected = false;
  #connectFailed: ((error: Error) => void) | undefined;

  constructor(options: FleetOptions) {
    const devices = options.workload.deviceIds.length;
    this.#options = options;
    this.#openLink = options.url.startsWith('mqtts:')
      ? createClientLinks(options.url)
      : createRawLinks(options.url);
    this.ledger = new Ledger(devices);
    this.#due = new Array<number>(devices).fill(0);
  }

  /** Messages that were sent more than `OVERRUN_MS` after they were due. */
  get overruns(): number {
    return this.#overruns;
  }

  /** Messages per second that the schedule offers. */
  get intendedRate(): number {
    const { total, offsetMs } = this.#options.workload.schedule;
    return total < 2 ? total : ((total - 1) / Math.max(offsetMs(total - 1) - offsetMs(0), 1)) * 1_000;
  }

  get connectionsLost(): number {
    return this.#connectionsLost;
  }

  /** The last thing that went wrong with a connection. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Connects all devices. Rejects with `FleetConnectError`, at once where nobody listens. */
  async connect(signal: AbortSignal): Promise<void> {
    const { workload, connectConcurrency, connectTimeoutMs } = this.#options;
    const limit = pLimit(connectConcurrency);
    const settled = new AbortController();
    let deadline: NodeJS.Timeout | undefined;
    const failed = new Promise<never>((_, reject) => {
      this.#connectFailed = reject;
      const late = () => reject(new Error(`not all connected after ${connectTimeoutMs / 1_000} s`));
      deadline = setTimeout(late, connectTimeoutMs);
      signal.addEventListener('abort', () => reject(new Error('stopped')), { signal: settled.signal });
    });
    try {
      const opened = workload.deviceIds.map((id, device) => limit(() => this.#open(id, device)));
      await Promise.race([Promise.all(opened), failed]);
    } catch (cause) {
      limit.clearQueue();
      const reason =
        (cause instanceof Error && cause.message) || this.#lastError?.message || 'unknown reason';
      throw new FleetConnectError(`devices cannot connect to ${this.#options.url}: ${reason}`, { cause });
    } finally {
      this.#connectFailed = undefined;
      clearTimeout(deadline);
      settled.abort();
    }
  }

  /**
   * Sends the workload and waits until everything is acknowledged, for `drainTimeoutMs` at most. An abort stops the
   * sending; acknowledgements are then waited for briefly. Returns the content that was sent.
   */
  async run(signal: AbortSignal): Promise<Content> {
    const startMs = Date.now();
    const startedAt = performance.now();
    const content = this.#options.workload.startingAt(startMs);
    const ended = new AbortController();
    await new Promise<void>((resolve) => {
      const run: Run = {
        content,
        startedAt,
        next: 0,
        stopped: signal.aborted,
        finish: resolve,
        timers: new Set(),
      };
      this.#run = run;
      signal.addEventListener('abort', () => this.#stop(run), { signal: ended.signal });
      if (run.stopped) this.#stop(run);
      else this.#release(run);
    });
    ended.abort();
    for (const timer of this.#run?.timers ?? []) clearTimeout(timer);
    return content;
  }

  progress(): FleetProgress {
    return {
      elapsedMs: this.#run === undefined ? 0 : performance.now() - this.#run.startedAt,
      due: this.#totalDue,
      sent: this.ledger.totalSent,
      acknowledged: this.ledger.totalAcknowledged,
      inFlight: this.#links.reduce((sum, link) => sum + link.inFlight, 0),
      connected: this.#links.reduce((sum, link) => sum + (link.ready ? 1 : 0), 0),
      p99Ms: this.latency.figures()?.p99 ?? null,
    };
  }

  /** Disconnects every device. */
  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }

  async #open(deviceId: string, device: number): Promise<void> {
    const { qos, seed } = this.#options;
    const reconnectMs = Math.round(
      RECONNECT_MS.least + RECONNECT_MS.spread * uniform(seed, device, RECONNECT_PURPOSE, 0),
    );
    await new Promise<void>((resolve) => {
      const link = this.#openLink(
        { deviceId, qos, reconnectMs },
        {
          ready: () => {
            this.#everConnected = true;
            resolve();
            this.#sendDue(device);
          },
          lost: () => {
            this.#connectionsLost++;
            if (qos > 0) this.ledger.interrupt(device);
            if (this.#run !== undefined) this.#finishWhenDrained(this.#run);
          },
          failed: (error) => this.#onFailure(error),
          acknowledged: (sequence) => this.#onAcknowledged(device, sequence),
        },
      );
      this.#links[device] = link;
    });
  }

  #onFailure(error: Error): void {
    this.#lastError = error;
    const code = 'code' in error ? error.code : undefined;
    if (!this.#everConnected && (REFUSED_CODES.has(code) || typeof code === 'number')) {
      this.#connectFailed?.(new Error(error.message || String(code), { cause: error }));
    }
  }

  /** Sends what has become due, and comes back when the next message is. */
  #release(run: Run): void {
    run.timers.clear();
    if (run.stopped) return;
    const { schedule } = this.#options.workload;
    const nowMs = performance.now() - run.startedAt;
    while (run.next < schedule.total && schedule.offsetMs(run.next) <= nowMs) {
      const device = schedule.deviceOf(run.next);
      run.next++;
      this.#totalDue++;
      this.#due[device] = (this.#due[device] ?? 0) + 1;
      this.#sendDue(device);
    }
    if (run.next >= schedule.total) {
      run.timers.add(setTimeout(run.finish, this.#options.drainTimeoutMs));
      this.#finishWhenDrained(run);
      return;
    }
    const sleepMs = Math.min(LONGEST_SLEEP_MS, schedule.offsetMs(run.next) - nowMs);
    run.timers.add(setTimeout(() => this.#release(run), sleepMs));
  }

  #sendDue(device: number): void {
    const run = this.#run;
    const link = this.#links[device];
    if (run === undefined || link === undefined || run.stopped) return;
    const due = this.#due[device] ?? 0;
    while (link.ready && link.inFlight < this.#options.maxInFlight && this.ledger.sentBy(device) < due) {
      this.#send(run, link, device);
    }
  }

  #send(run: Run, link: DeviceLink, device: number): void {
    const { workload } = this.#options;
    const sequence = this.ledger.send(device);
    const dueAt = run.startedAt + workload.schedule.offsetOfMs(device, sequence);
    const delayMs = performance.now() - dueAt;
    this.scheduleDelay.record(delayMs);
    if (delayMs > OVERRUN_MS) this.#overruns++;
    link.publish(Buffer.from(run.content.payload(device, sequence)), sequence);
  }

  #onAcknowledged(device: number, sequence: number): void {
    const run = this.#run;
    if (run === undefined) return;
    const { workload, qos } = this.#options;
    if (qos > 0 && this.ledger.acknowledge(device, sequence)) {
      const dueAt = run.startedAt + workload.schedule.offsetOfMs(device, sequence);
      this.latency.record(performance.now() - dueAt);
    }
    this.#sendDue(device);
    this.#finishWhenDrained(run);
  }

  #stop(run: Run): void {
    run.stopped = true;
    run.timers.add(setTimeout(run.finish, STOP_GRACE_MS));
    this.#finishWhenDrained(run);
  }

  #finishWhenDrained(run: Run): void {
    const { schedule } = this.#options.workload;
    if (!run.stopped && run.next < schedule.total) return;
    if (!run.stopped && this.ledger.totalSent < this.#totalDue) return;
    const acknowledged = this.#options.qos === 0 || this.ledger.totalAcknowledged === this.ledger.totalSent;
    if (acknowledged && this.#links.every((link) => link.inFlight === 0)) run.finish();
  }
}

interface Run {
  readonly content: Content;
  /** On the clock of `performance.now()`, ms. */
  readonly startedAt: number;
  /** The next message of the schedule to become due. */
  next: number;
  stopped: boolean;
  readonly finish: () => void;
  readonly timers: Set<NodeJS.Timeout>;
}
