/** What a guest sends over its second serial port: items of a name and bytes (see guest-words.ts). */

export interface GuestItem {
  readonly name: string;
  readonly bytes: Buffer;
}

export interface ItemReader {
  /** Take in what arrived, and give the items that it completes. What belongs to no item is passed over. */
  push(chunk: string): GuestItem[];
}

export function createItemReader(): ItemReader {
  let rest = '';
  let open: { name: string; base64: string } | undefined;
  const takeLine = (line: string): GuestItem[] => {
    if (line === '@@.' && open) {
      const item = { name: open.name, bytes: Buffer.from(open.base64, 'base64') };
      open = undefined;
      return [item];
    }
    const head = /^@@ (.+)$/.exec(line);
    if (head) open = { name: head[1]!, base64: '' };
    else if (open) open.base64 += line;
    return [];
  };
  return {
    push(chunk) {
      const lines = (rest + chunk).split(/\r?\n/);
      rest = lines.pop()!;
      return lines.flatMap(takeLine);
    },
  };
}
