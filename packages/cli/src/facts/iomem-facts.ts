/**
 * /proc/iomem as facts: the nodes that come from e820, RAM, pmem and dax, as a tree.
 * Mirrors what kernel/resource.c prints; the choice of nodes is that of the golden captures.
 *
 * A node under a parent that is not a fact (`hmem.0`, a PCI window) moves up and names that parent in `under`.
 */

export interface IomemFact {
  start: string;
  end: string;
  name: string;
  under?: string;
  children?: IomemFact[];
}

const IS_FACT =
  /^(?:Reserved|System RAM(?: \(\w+\))?|RAM buffer|Persistent Memory(?: \(legacy\))?|Soft Reserved|ACPI (?:Tables|Non-volatile Storage)|Unusable memory|Unknown E820 type|Crash kernel|(?:namespace|dax|btt|pfn)\d+\.\d+)$/;

/** Read the text of /proc/iomem. Lines of another form are passed over. */
export function parseIomem(text: string): IomemFact[] {
  const roots: IomemFact[] = [];
  const open: { depth: number; fact?: IomemFact; name: string }[] = [];
  for (const line of text.split('\n')) {
    const match = /^( *)([0-9a-f]+)-([0-9a-f]+) : (.*)$/.exec(line);
    if (!match) continue;
    const depth = match[1]!.length;
    while (open.length > 0 && open.at(-1)!.depth >= depth) open.pop();
    const name = match[4]!;
    if (!IS_FACT.test(name)) {
      open.push({ depth, name });
      continue;
    }
    const parent = open.at(-1);
    const dropped = parent && !parent.fact ? parent.name : undefined;
    const fact: IomemFact = { start: short(match[2]!), end: short(match[3]!), name, ...(dropped ? { under: dropped } : {}) };
    const home = open.findLast((level) => level.fact)?.fact;
    (home ? (home.children ??= []) : roots).push(fact);
    open.push({ depth, name, fact });
  }
  return roots;
}

function short(padded: string): string {
  return `0x${padded.replace(/^0+(?=.)/, '')}`;
}
