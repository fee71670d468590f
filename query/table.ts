/** How a table is laid out. */
export interface TableStyle {
  /** Bold headings, and lines cut to the width. */
  readonly isTerminal: boolean;
  /** Columns of the terminal. Undefined: lines are not cut. */
  readonly width?: number;
}

export interface Column {
  readonly heading: string;
  readonly align: 'left' | 'right';
}

/** Lines of aligned columns under a heading, each ending with a line feed. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: TableStyle,
): string {
  const cells = rows.map((row) => row.map(printable));
  const widths = columns.map(({ heading }, i) =>
    cells.reduce((widest, row) => Math.max(widest, row[i]?.length ?? 0), heading.length),
  );
  const toLine = (row: readonly string[]) => {
    const padded = columns.map(({ align }, i) => {
      const cell = row[i] ?? '';
      const width = widths[i] ?? 0;
      return align === 'left' ? cell.padEnd(width) : cell.padStart(width);
    });
    return cut(padded.join('  ').trimEnd(), style);
  };
  const heading = toLine(columns.map((column) => column.heading));
  const lines = [style.isTerminal ? `\u001b[1m${heading}\u001b[22m` : heading, ...cells.map(toLine)];
  return `${lines.join('\n')}\n`;
}

/** Whole numbers as they are, others with six significant digits. */
export function formatFigure(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}

/** A time in ISO 8601, UTC, to the ms where it has any. `instant` is ms since the epoch. */
export function formatInstant(instant: number): string {
  return new Date(instant).toISOString().replace('.000Z', 'Z');
}

/** Names must not be able to steer the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '\ufffd');
}

function cut(line: string, { isTerminal, width }: TableStyle): string {
  if (!isTerminal || width === undefined || line.length <= width) return line;
  return `${line.slice(0, Math.max(0, width - 1))}…`;
}
