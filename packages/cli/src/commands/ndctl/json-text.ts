/**
 * JSON as json-c prints it with JSON_C_TO_STRING_PRETTY: two blanks a level, no blank behind the colon, slashes escaped.
 * A bigint is a number: cookies have 64 bits.
 */
export type Json = string | number | bigint | boolean | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = Record<string, Json>;

export function jsonText(value: Json, depth = 0): string {
  if (typeof value === 'string') return JSON.stringify(value).replaceAll('/', '\\/');
  if (typeof value !== 'object') return String(value);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const items = Array.isArray(value)
    ? (value as readonly Json[]).map((item) => jsonText(item, depth + 1))
    : Object.entries(value).map(([name, item]) => `${jsonText(name)}:${jsonText(item, depth + 1)}`);
  if (items.length === 0 && open === '{') return `${open}${close}`;
  if (items.length === 0) return `${open}\n${'  '.repeat(depth)}${close}`;
  const indent = '  '.repeat(depth + 1);
  return `${open}\n${items.map((item) => indent + item).join(',\n')}\n${'  '.repeat(depth)}${close}`;
}

/** A list; for a person, one of a single entry is just the entry. */
export function jsonList(list: readonly Json[], { human = false } = {}): string {
  return `${jsonText(human && list.length === 1 ? list[0]! : list)}\n`;
}
