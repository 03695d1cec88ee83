/**
 * Compares two trees of facts leaf by leaf. Lists of records are matched by what identifies a record, so that one that is missing is one
 * difference, and not a shift of all behind it.
 */
export interface Difference {
  readonly path: string;
  /** Undefined: the real kernel did not say it, or Holdfast does not. */
  readonly expected: unknown;
  readonly actual: unknown;
}

export interface Comparison {
  /** Facts that were compared. */
  readonly compared: number;
  readonly differences: readonly Difference[];
  /** Facts left out, by the reason given. */
  readonly leftOut: ReadonlyMap<string, number>;
}

/** Says why a fact is not compared, or undefined if it is. */
export type LeaveOut = (path: string, expected: unknown) => string | undefined;

/** Fields that identify a record in a list, by preference; a list without them is matched by position. */
const KEYS: readonly (readonly string[])[] = [['block'], ['node', 'zone'], ['start', 'name'], ['zone']];

export function compareFacts(expected: unknown, actual: unknown, leaveOut: LeaveOut = () => undefined): Comparison {
  const want = new Map(leaves(expected, ''));
  const have = new Map(leaves(actual, ''));
  const differences: Difference[] = [];
  const leftOut = new Map<string, number>();
  let compared = 0;
  for (const path of new Set([...want.keys(), ...have.keys()])) {
    const [wanted, got] = [want.get(path), have.get(path)];
    const reason = leaveOut(path, wanted);
    if (reason !== undefined) {
      leftOut.set(reason, (leftOut.get(reason) ?? 0) + 1);
      continue;
    }
    compared++;
    if (JSON.stringify(wanted) !== JSON.stringify(got)) differences.push({ path, expected: wanted, actual: got });
  }
  return { compared, differences, leftOut };
}

/** The leaves of a tree as `path` and value; an empty list or record is a leaf. */
function* leaves(value: unknown, path: string): Generator<[string, unknown]> {
  if (value === undefined) return;
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) {
    yield [path, value];
    return;
  }
  if (!Array.isArray(value)) {
    for (const [name, part] of Object.entries(value)) yield* leaves(part, path === '' ? name : `${path}.${name}`);
    return;
  }
  const seen = new Map<string, number>();
  for (const [index, item] of value.entries()) {
    const key = keyOf(item) ?? String(index);
    const count = seen.get(key) ?? 0;
    seen.set(key, count + 1);
    yield* leaves(item, `${path}[${key}${count > 0 ? `#${count}` : ''}]`);
  }
}

function keyOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const record = item as Record<string, unknown>;
  const fields = KEYS.find((names) => names.every((name) => Object.hasOwn(record, name)));
  return fields?.map((name) => String(record[name])).join(' ');
}
