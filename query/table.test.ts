import { describe, expect, it } from 'vitest';
import { formatFigure, formatInstant, formatTable } from './table.ts';

describe('a table', () => {
  it('has no spaces at the end of a line', () => {
    const columns = [
      { heading: 'A', align: 'left' },
      { heading: 'B', align: 'left' },
    ] as const;
    expect(
      formatTable(
        columns,
        [
          ['long', 'x'],
          ['s', ''],
        ],
        { isTerminal: false },
      ),
    ).toBe('A     B\nlong  x\ns\n');
  });

  it('cannot be used to steer the terminal', () => {
    const columns = [{ heading: 'A', align: 'left' }] as const;
    expect(formatTable(columns, [['\u001b[2Jx\n']], { isTerminal: true })).toContain('\ufffd[2Jx\ufffd\n');
  });

  it.each([
    [60, '60'],
    [-0.1, '-0.1'],
    [1 / 3, '0.333333'],
    [1234567.891, '1234570'],
    [1e300, '1e+300'],
    [9007199254740991, '9007199254740991'],
  ])('shows %d as %s', (value, text) => {
    expect(formatFigure(value)).toBe(text);
  });

  it('shows ms only where there are any', () => {
    expect(formatInstant(0)).toBe('1970-01-01T00:00:00Z');
    expect(formatInstant(5)).toBe('1970-01-01T00:00:00.005Z');
  });
});
