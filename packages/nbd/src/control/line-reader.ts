/**
 * Lines out of a stream of bytes. A line that is too long ends the stream: its sender is no client.
 */
const NEWLINE = 10;

/** Feed it bytes; it gives each whole line, without its newline, or false where the limit is broken. */
export function createLineReader(maxBytes: number, onLine: (line: string) => void): (data: Uint8Array) => boolean {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  return (data) => {
    let from = 0;
    for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE, from)) {
      if (heldBytes + end - from > maxBytes) return false;
      const line = Buffer.concat([...held, data.subarray(from, end)]).toString('utf8');
      held = [];
      heldBytes = 0;
      from = end + 1;
      onLine(line);
    }
    if (from < data.length) held.push(data.slice(from));
    heldBytes += data.length - from;
    return heldBytes <= maxBytes;
  };
}
