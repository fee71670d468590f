import type { EventLog } from '../event-log.ts';
import type { TopicSpec } from '../topics.ts';

/** How the suite asks an adapter to open its log. Topic names are unique to each test. */
export interface OpenLogOptions {
  readonly topics: readonly TopicSpec[];
  /** The append deadline, ms; the adapter's default when absent. */
  readonly appendTimeoutMs?: number;
  /** The bound on pending appends, bytes; the adapter's default when absent. */
  readonly maxPendingBytes?: number;
}

/** One storage of an adapter for one test: a folder of its own, or a backend that tests share. */
export interface EventLogStorage {
  /** Opens the log on this storage; called again after `close` to reopen it. */
  openLog(options: OpenLogOptions): Promise<EventLog>;
  /** Makes the backend refuse or ignore writes until `makeAvailable`. */
  makeUnavailable?(): Promise<void>;
  makeAvailable?(): Promise<void>;
  /** Removes the records of a topic that are there, as retention does; they may be there for a while yet. */
  expire?(topic: string): Promise<void>;
  /** Removes the storage. Every log opened on it is closed by then. */
  cleanUp(): Promise<void>;
}
