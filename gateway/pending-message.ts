import type { PublishPacket } from 'aedes';
import type { QuarantineReason } from '../event-log/quarantine-event.ts';
import type { DeviceConnection } from './device-connection.ts';
import type { Receipt } from './sessions.ts';

/** A record on its way into the log, and what is owed to the device once it is durable. */
export interface PendingMessage {
  topic: string;
  partition: number;
  readonly key: string;
  value: Buffer;
  /** Bytes that it holds, for the bounds. */
  readonly bytes: number;
  readonly clientId: string;
  /** Undefined for a will. */
  readonly connection: DeviceConnection | undefined;
  readonly packet: PublishPacket;
  readonly qos: 0 | 1 | 2;
  readonly messageId: number;
  /** When it was received, ms since the epoch. */
  readonly received: number;
  /** When it was taken up, ms of the monotonic clock. */
  readonly startedAt: number;
  /** Why it goes to quarantine; undefined for telemetry. */
  quarantine: { readonly reason: QuarantineReason; readonly detail: string } | undefined;
  /** QoS 2 only. */
  readonly receipt: Receipt | undefined;
  /** Whether it waits for the append of an earlier message instead of its own. */
  readonly isRepeat: boolean;
  state: 'waiting' | 'durable' | 'refused';
}
