import type { GatewayEvents } from './gateway-events.ts';
import type { AppendLog } from './log-writer.ts';

export type Readiness =
  | { readonly ok: true; readonly reason: undefined }
  | { readonly ok: false; readonly reason: string };

/**
 * Whether the event log takes messages, judged by the latest append. After a failure the log is asked as well, since
 * a gateway that is not ready may get no messages to try it with.
 */
export class LogAvailability {
  readonly #log: AppendLog;
  readonly #events: GatewayEvents;
  #reason: string | undefined;
  #isAsking = false;

  constructor(log: AppendLog, events: GatewayEvents) {
    this.#log = log;
    this.#events = events;
  }

  get readiness(): Readiness {
    return this.#reason === undefined ? { ok: true, reason: undefined } : { ok: false, reason: this.#reason };
  }

  succeeded(): void {
    if (this.#reason === undefined) return;
    this.#reason = undefined;
    this.#events.logAvailable();
  }

  failed(error: Error): void {
    if (this.#reason === undefined) this.#events.logUnavailable(error.message);
    this.#reason = error.message;
  }

  /** Asks a log that failed whether it answers again; one question at a time. */
  ask(): void {
    if (this.#reason === undefined || this.#isAsking) return;
    this.#isAsking = true;
    this.#log
      .ping()
      .then(
        () => this.succeeded(),
        () => undefined,
      )
      .finally(() => {
        this.#isAsking = false;
      });
  }
}
