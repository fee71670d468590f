/** A process that faults happen to. Each call resolves when what it says is done. */
export interface Victim {
  readonly name: string;
  /** How often it has been started. */
  readonly starts: number;
  /** Starts the process again. Resolves when it is ready for work; rejects at a deadline. */
  start(signal: AbortSignal): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM, and SIGKILL for what does not end in time. */
  stop(): Promise<unknown>;
  /** SIGSTOP. */
  suspend(): void;
  /** SIGCONT. */
  resume(): void;
}
