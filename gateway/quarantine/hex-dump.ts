const BYTES_PER_LINE = 16;
const HEX_WIDTH = BYTES_PER_LINE * 3;

/** Bytes as people read them: offset, hexadecimal, printable ASCII; a line for 16 bytes, each ending with a line feed. */
export function hexDump(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
    const line = [...bytes.subarray(at, at + BYTES_PER_LINE)];
    const hex = line.map((byte) => `${byte.toString(16).padStart(2, '0')} `).join('');
    const ascii = line
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
      .join('');
    text += `${at.toString(16).padStart(8, '0')}  ${hex.padEnd(HEX_WIDTH)} |${ascii}|\n`;
  }
  return text;
}
