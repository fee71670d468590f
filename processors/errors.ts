/** Base of everything that a processor refuses to go on with. */
export abstract class ProcessorError extends Error {
  abstract readonly code: string;
  /** Whether the same may succeed later without anything being changed. */
  abstract readonly retryable: boolean;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The bytes are not a whole checkpoint as it was written. An older one, or none, has to serve. */
export class CheckpointDamagedError extends ProcessorError {
  readonly code = 'PROCESSOR_CHECKPOINT_DAMAGED';
  readonly retryable = false;
  /** Position in the bytes at which reading stopped. */
  readonly at: number;

  constructor(at: number, what: string, options?: ErrorOptions) {
    super(`the checkpoint is damaged at byte ${at}: ${what}`, options);
    this.at = at;
  }
}

/** The checkpoint is whole, and of a version of the format that this version of Sluice does not read. */
export class CheckpointVersionError extends ProcessorError {
  readonly code = 'PROCESSOR_CHECKPOINT_VERSION';
  readonly retryable = false;
  readonly version: number;

  constructor(version: number, readable: number) {
    super(
      `the checkpoint is of version ${version}, this version of Sluice reads version ${readable}; run the version ` +
        'that wrote it, or set processor.group to a new name to fold the whole log again',
    );
    this.version = version;
  }
}

/** The open panes were folded with another configuration, so going on with them would give windows of neither. */
export class FoldConfigChangedError extends ProcessorError {
  readonly code = 'PROCESSOR_FOLD_CONFIG_CHANGED';
  readonly retryable = false;

  /** `then` and `now` as `foldFingerprint` gives them. */
  constructor(then: string, now: string) {
    super(
      `the checkpoint was made with "${then}", the configuration now says "${now}"; restore those settings, ` +
        'or set processor.group to a new name to fold the whole log again with the new ones',
    );
  }
}
