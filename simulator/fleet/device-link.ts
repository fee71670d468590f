export type QoS = 0 | 1 | 2;

export interface DeviceLinkOptions {
  readonly deviceId: string;
  readonly qos: QoS;
  /** Time before the first attempt to connect again, ms. Differs between devices, so that they do not come back at once. */
  readonly reconnectMs: number;
}

/** What happens to a link. Called synchronously; may publish. */
export interface DeviceLinkEvents {
  /** The link is ready, at first or again; whatever was in flight before has been sent again, ahead of anything newer. */
  ready(): void;
  /** A connection that was up is lost. */
  lost(): void;
  failed(error: Error): void;
  /** A message's PUBACK or PUBCOMP came; with QoS 0, the socket took it. At most once for each `publish`. */
  acknowledged(token: number): void;
}

/**
 * A device's MQTT connection, which comes back by itself and sends again what is unacknowledged. Its owner bounds how
 * many messages are in flight, to 60,000 at most.
 */
export interface DeviceLink {
  /** Whether `publish` may be called. */
  readonly ready: boolean;
  /** Messages published and not yet acknowledged (QoS 0: not yet taken by the socket). */
  readonly inFlight: number;
  /** Publishes a payload, which must not change afterwards. `token` comes back with its acknowledgement. */
  publish(payload: Buffer, token: number): void;
  /** Disconnects; what is in flight is abandoned. Resolves within two seconds. */
  close(): Promise<void>;
}

/** Opens a device's link to the server that it was made for. */
export type LinkOpener<L extends DeviceLink = DeviceLink> = (
  options: DeviceLinkOptions,
  events: DeviceLinkEvents,
) => L;

export function telemetryTopic(deviceId: string): string {
  return `devices/${deviceId}/telemetry`;
}

/** How long a server may take to answer CONNECT or PINGREQ, ms. */
export const ANSWER_DEADLINE_MS = 10_000;
export const CLOSE_DEADLINE_MS = 2_000;
export const KEEPALIVE_SECONDS = 30;
