import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** pino's number for `error`; `fatal` is above it. */
const ERROR_LEVEL = 50;

/** How often each message was logged as an error, from JSON log lines; lines that are no JSON count as themselves. */
export function countErrorLines(text: string, counts = new Map<string, number>()): Map<string, number> {
  for (const line of text.split('\n')) {
    const message = errorMessage(line);
    if (message !== undefined) counts.set(message, (counts.get(message) ?? 0) + 1);
  }
  return counts;
}

/** The same over all role logs of a folder, each message with the name of its role. */
export function countErrorsOf(folder: string, names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const file of readdirSync(folder)) {
    const name = file.replace(/\.log$/, '');
    if (!names.includes(name)) continue;
    const role = name.replace(/-\d+$/, '');
    for (const [message, count] of countErrorLines(readFileSync(join(folder, file), 'utf8'))) {
      counts[`${role}: ${message}`] = (counts[`${role}: ${message}`] ?? 0) + count;
    }
  }
  return counts;
}

function errorMessage(line: string): string | undefined {
  if (line.trim() === '') return undefined;
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null || !('level' in entry) || !('msg' in entry)) return line;
    return Number(entry.level) >= ERROR_LEVEL ? String(entry.msg) : undefined;
  } catch {
    return line;
  }
}
