import { expect, test } from 'vitest';
import { formatEventId, parseEventId } from './event-id.ts';

test.each(['3/1042', '0/0', '1023/9223372036854775807'])('%s is an id, and printed the same', (text) => {
  const id = parseEventId(text);
  expect(id && formatEventId(id)).toBe(text);
});

test.each(['', '3', '3/', '/4', '-1/4', '3/1/2', ' 3/1', '3/1n', '12345/1'])('%j is no id', (text) => {
  expect(parseEventId(text)).toBeUndefined();
});
