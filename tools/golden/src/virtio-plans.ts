/**
 * The virtio devices with memory in QEMU's arguments: `-object memory-backend-…,id=m0,size=1G -device virtio-pmem-pci,memdev=m0,id=vp0`.
 */
import type { VirtioPlan } from '@holdfast/cli';
import { MIB, parseSize } from '@holdfast/lib';

export function virtioPlans(args: readonly string[]): VirtioPlan[] {
  const sizes = new Map<string, number>();
  const plans: VirtioPlan[] = [];
  for (const [index, value = ''] of args.slice(1).entries()) {
    const [kind, props] = splitProps(value);
    const id = props.get('id') ?? '';
    if (args[index] === '-object') sizes.set(id, parseSize(props.get('size') ?? '0', 'size'));
    const sizeBytes = sizes.get(props.get('memdev') ?? '') ?? 0;
    if (args[index] !== '-device') continue;
    if (kind === 'virtio-pmem-pci') plans.push({ kind: 'pmem', id, sizeBytes });
    if (kind === 'virtio-mem-pci') {
      const size = (name: string, otherwise: number): number => (props.has(name) ? parseSize(props.get(name)!, name) : otherwise);
      plans.push({
        kind: 'mem',
        id,
        sizeBytes,
        requestedBytes: size('requested-size', 0),
        blockBytes: size('block-size', 2 * MIB),
        pxm: Number(props.get('node') ?? 0),
      });
    }
  }
  return plans;
}

function splitProps(text: string): [string, Map<string, string>] {
  const [kind = '', ...pairs] = text.split(',');
  return [kind, new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]))];
}
