import { type EventId, formatEventId } from './event-id.ts';

/** The quarantine topic holds no event with these ids. */
export class QuarantineEventMissingError extends Error {
  readonly code = 'QUARANTINE_EVENT_MISSING';
  readonly retryable = false;
  override readonly name = 'QuarantineEventMissingError';

  constructor(ids: readonly EventId[], options?: ErrorOptions) {
    const listed = ids.map(formatEventId).join(', ');
    super(`no quarantined event ${listed}: never written, or not kept any more`, options);
  }
}
