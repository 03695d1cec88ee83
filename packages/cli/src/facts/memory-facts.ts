/**
 * Memory blocks as facts: /sys/devices/system/memory, /sys/devices/system/node and memory_hotplug's parameters.
 * Mirrors what drivers/base/memory.c and drivers/base/node.c show.
 *
 * Two steps: {@link memoryAttributes} reads the tree into `memory-blocks.txt`, one line a block, as the captures keep it;
 * {@link parseMemoryBlocks} makes facts of such a text.
 */
import type { VfsDir } from '@holdfast/kernel';
import { dirAt, naturalOrder, textAt, textOfFile } from './sysfs.js';

export interface MemoryBlockFact {
  block: number;
  phys_index: string;
  state: string;
  removable: string;
  valid_zones: string;
  nodes: number[];
}

export type MemoryFacts = { [attribute: string]: string | MemoryBlockFact[] } & { blocks: MemoryBlockFact[] };

const MEMORY = '/sys/devices/system/memory';
const NODE = '/sys/devices/system/node';
const PARAMETERS = '/sys/module/memory_hotplug/parameters';

/** The text of `memory-blocks.txt` for a running kernel. */
export function memoryAttributes(root: VfsDir): string {
  const attributes = new Map<string, string>();
  for (const [folder, names] of [
    [MEMORY, ['block_size_bytes', 'auto_online_blocks']],
    [PARAMETERS, undefined],
    [NODE, ['has_cpu', 'has_generic_initiator', 'has_memory', 'has_normal_memory', 'online', 'possible']],
  ] as const) {
    const dir = dirAt(root, folder);
    for (const name of names ?? [...(dir?.list() ?? [])]) {
      const text = dir && textAt(root, `${folder}/${name}`);
      if (text !== undefined) attributes.set(name, text);
    }
  }
  const blocks = [...(dirAt(root, MEMORY)?.list() ?? [])].filter((name) => /^memory\d+$/.test(name)).sort(naturalOrder);
  const heads = [...attributes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}=${value}`);
  return [...heads, ...blocks.map((name) => blockLine(root, name)), ''].join('\n');
}

function blockLine(root: VfsDir, name: string): string {
  const block = dirAt(root, `${MEMORY}/${name}`);
  const value = (attribute: string): string => textOfFile(block?.lookup(attribute)) ?? '';
  const nodes = [...(block?.list() ?? [])].filter((entry) => /^node\d+$/.test(entry)).sort(naturalOrder);
  const links = nodes.map((node) => `node=${node.slice(4)} `).join('');
  return `${name} phys_index=${value('phys_index')} state=${value('state')} removable=${value('removable')} ${links}valid_zones=${value('valid_zones')}`;
}

/** Read such a text; lines of another form are passed over. */
export function parseMemoryBlocks(text: string): MemoryFacts {
  const facts: MemoryFacts = { blocks: [] };
  for (const line of text.split('\n')) {
    const block = /^memory(\d+) phys_index=(\w*) state=(\S*) removable=(\S*) (.*?)valid_zones=(.*)$/.exec(line);
    if (block) {
      facts.blocks.push({
        block: Number(block[1]),
        phys_index: block[2]!,
        state: block[3]!,
        removable: block[4]!,
        valid_zones: block[6]!.trim(),
        nodes: [...block[5]!.matchAll(/node=?([\d,]+)/g)].flatMap((match) => match[1]!.split(',').map(Number)),
      });
      continue;
    }
    const attribute = /^(\w+)=(.*)$/.exec(line);
    if (attribute && attribute[1] !== 'blocks') facts[attribute[1]!] = attribute[2]!.trim();
  }
  return facts;
}
