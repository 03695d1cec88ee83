/** `name=value,…` of an option: fields by name; undefined if one is not among `known`, comes twice, or has no value. */
export function parseFields(text: string, known: readonly string[]): Map<string, string> | undefined {
  const fields = new Map<string, string>();
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    const name = part.slice(0, at);
    if (at < 0 || fields.has(name) || !known.includes(name)) return undefined;
    fields.set(name, part.slice(at + 1));
  }
  return fields;
}
