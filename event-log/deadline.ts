import { EventLogUnavailableError } from './errors.ts';

/** Settles as `work` does, or rejects with `EventLogUnavailableError`, which says `late`, after `ms`. */
export async function withDeadline<T>(work: Promise<T>, ms: number, late: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const missed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new EventLogUnavailableError(late)), ms);
  });
  try {
    return await Promise.race([work, missed]);
  } finally {
    clearTimeout(timer);
  }
}
