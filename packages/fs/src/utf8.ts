/** Names of files as bytes: UTF-8, as user space has it. The kernel itself takes any bytes but `/` and 0. */

/** What is no UTF-8 comes out as U+FFFD. */
export function utf8Decode(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at]!;
    const more = first < 0x80 ? 0 : first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 ? 2 : first >= 0xc2 ? 1 : -1;
    const rest = bytes.subarray(at + 1, at + 1 + Math.max(0, more));
    if (more < 0 || first >= 0xf5 || rest.length < more || rest.some((byte) => (byte & 0xc0) !== 0x80)) {
      text += '\ufffd';
      at++;
      continue;
    }
    let point = more === 0 ? first : first & (0x3f >> more);
    for (const byte of rest) point = point * 64 + (byte & 0x3f);
    text += point > 0x10ffff ? '\ufffd' : String.fromCodePoint(point);
    at += 1 + more;
  }
  return text;
}

export function utf8Encode(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of text) {
    const point = char.codePointAt(0)!;
    if (point < 0x80) bytes.push(point);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
    else if (point < 0x10000) bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    else bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 0x3f), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
  }
  return Uint8Array.from(bytes);
}
