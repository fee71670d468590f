/** The servers Sluice can be run and tested against without Docker. */
export const SERVER_NAMES = ['kafka', 'influxdb', 'mosquitto'] as const;
export type ServerName = (typeof SERVER_NAMES)[number];

/** How clients reach a server; the keys are those of Sluice's configuration. */
export type Address = { readonly brokers: string } | { readonly url: string };

/** How to run one kind of server in a folder of its own. */
export interface LocalServer {
  readonly name: ServerName;
  /** How many free TCP ports an instance needs. The first is the one that clients use. */
  readonly portCount: number;
  /** How long an instance may take from its start to its first answer. */
  readonly startDeadlineMs: number;
  /** Debian packages that bring what the server needs. */
  readonly debianPackages: readonly string[];
  /** Refuses with `MissingToolError` when the server cannot be run on this machine. */
  requireTools(): Promise<void>;
  /**
   * Fetches what no Debian package brings, unless it is there. Safe to call at the same time from several processes.
   * Refuses when it takes longer than `limitMs`.
   */
  install(report: (line: string) => void, limitMs: number): Promise<void>;
  /** Writes the configuration into `folder` (which exists) and says what to run. Keeps what an earlier run stored. */
  prepare(folder: string, ports: readonly number[]): Promise<Command>;
  address(port: number): Address;
  /** Whether the server answers a request of its own protocol; false on any failure, within about a second. */
  answers(port: number): Promise<boolean>;
}

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

/** A program is not installed, or is too old. The message says how to get it. */
export class MissingToolError extends Error {
  readonly code = 'SLUICE_LOCAL_TOOL_MISSING';
  readonly retryable = false;
  override readonly name = 'MissingToolError';
}
