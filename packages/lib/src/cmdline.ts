/**
 * The kernel command line, cut into parameters. Mirrors kernel/params.c: parse_args, next_arg.
 */
export interface KernelParam {
  /** As written; compare with {@link sameParamName}. */
  readonly name: string;
  /** Undefined for a bare word. */
  readonly value: string | undefined;
}

/**
 * Cut a command line into its parameters, in order.
 * Double quotes protect blanks and are dropped at the ends of a value or of the whole word; everything behind a lone `--` belongs to init.
 */
export function parseCmdline(text: string): KernelParam[] {
  const params: KernelParam[] = [];
  for (const word of splitWords(text)) {
    if (word === '--') break;
    const bare = unquote(word);
    const equals = bare.indexOf('=');
    if (equals < 0) params.push({ name: bare, value: undefined });
    else params.push({ name: bare.slice(0, equals), value: unquote(bare.slice(equals + 1)) });
  }
  return params;
}

/** Parameter names match with `-` and `_` alike (parameq). */
export function sameParamName(a: string, b: string): boolean {
  return a.replaceAll('-', '_') === b.replaceAll('-', '_');
}

/** The value of the last parameter of that name; the empty string for a bare word; undefined if it is not there. */
export function findParam(params: readonly KernelParam[], name: string): string | undefined {
  const found = params.findLast((param) => sameParamName(param.name, name));
  return found && (found.value ?? '');
}

function splitWords(text: string): string[] {
  const words: string[] = [];
  let word = '';
  let quoted = false;
  for (const char of text) {
    if (char === '"') quoted = !quoted;
    if (!quoted && /\s/.test(char)) {
      if (word !== '') words.push(word);
      word = '';
    } else {
      word += char;
    }
  }
  if (word !== '') words.push(word);
  return words;
}

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  return text.endsWith('"') && text.length > 1 ? text.slice(1, -1) : text.slice(1);
}
