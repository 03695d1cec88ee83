/**
 * What cannot be equal, or is not mirrored yet: each by name, with the reason. Nothing else is left out of a comparison.
 */
import type { GoldenCase } from './load-case.js';

interface NotCompared {
  /** Paths of facts, such as `captures.boot.zones[0 DMA].managed`. */
  readonly path: RegExp;
  readonly reason: string;
  /** All cases, if left out. */
  readonly when?: (golden: GoldenCase) => boolean;
}

export const NOT_COMPARED: readonly NotCompared[] = [
  { path: /^kernel$/, reason: 'names the vendor build of the kernel' },
  { path: /\.zones\[.*\]\.(?:managed|min|low|high|protection.*)$/, reason: 'managed pages depend on the kernel image, the initramfs and early allocations; watermarks follow from them' },
  { path: /^memblock\.memory\.(?:available_kb|detail)$/, reason: 'sizes of the kernel image and of early allocations' },
  { path: /^memblock\.node_data/, reason: 'where memblock finds room depends on earlier allocations: initramfs, page tables' },
];

/** Commands that are replayed. The first other one ends a replay, for what comes behind it depends on it. */
export const REPLAYED = /^(?:lite|cat|ls|echo|dd|blockdev|grep|head|lsmem|lsblk|uname|dmesg|sync|sleep)\b/;

/** Why the rest of a guest script is not replayed. */
export function whyNotReplayed(command: string): string {
  const word = command.split(/\s/)[0]!;
  return `${word}: a tool that the console does not have yet`;
}

export function reasonFor(golden: GoldenCase): (path: string) => string | undefined {
  const rules = NOT_COMPARED.filter(({ when }) => !when || when(golden));
  return (path) => rules.find((rule) => rule.path.test(path))?.reason;
}
