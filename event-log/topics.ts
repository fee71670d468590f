/** A topic that the log creates on open when it is missing. */
export interface TopicSpec {
  readonly name: string;
  /** Number of partitions, 1 to 1,024. */
  readonly partitions: number;
  /** How long records are kept, ms. */
  readonly retentionMs: number;
  /** Largest record (key and value), bytes. */
  readonly maxRecordBytes: number;
}

/** The names of Sluice's topics under a prefix (`sluice` unless configured). */
export interface TopicNames {
  readonly telemetry: string;
  readonly quarantine: string;
  /** Where a log on Kafka keeps checkpoints; other logs keep them elsewhere. */
  readonly checkpoints: string;
}

export function topicNames(prefix: string): TopicNames {
  return {
    telemetry: `${prefix}.telemetry`,
    quarantine: `${prefix}.quarantine`,
    checkpoints: `${prefix}.checkpoints`,
  };
}
