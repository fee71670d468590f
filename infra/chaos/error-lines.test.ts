import { expect, test } from 'vitest';
import { countErrorLines } from './error-lines.ts';

test('errors are counted by message, and what is no JSON as itself', () => {
  const text = [
    '{"level":30,"msg":"fine"}',
    '{"level":50,"msg":"lost"}',
    '{"level":40,"msg":"slow"}',
    '{"level":60,"msg":"dead"}',
    '{"level":50,"msg":"lost"}',
    'TypeError: x is not a function',
    '',
  ].join('\n');
  expect([...countErrorLines(text)]).toEqual([
    ['lost', 2],
    ['dead', 1],
    ['TypeError: x is not a function', 1],
  ]);
});
