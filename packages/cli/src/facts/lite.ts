/**
 * `lite`: a small snapshot of what a command on pmem may change, and what of it differs from the snapshot before.
 * In the shape of the `lite` entries of the golden captures' `commands.json`.
 */
import type { VfsDir } from '@holdfast/kernel';
import { type CaptureTexts, parseCapture, readCaptureTexts } from './capture.js';
import type { DeviceFacts } from './device-facts.js';
import { ndctlList } from './tool-listings.js';
import type { ZoneFact } from './zone-facts.js';

export interface LiteState {
  /** What `ndctl list` says of regions and namespaces; left out where there are none. */
  ndctl?: unknown;
  nd: DeviceFacts;
  block: DeviceFacts;
  dax: DeviceFacts;
  /** Lines of /proc/iomem, as they are. */
  iomem: string[];
  zones: Pick<ZoneFact, 'node' | 'zone' | 'spanned' | 'present' | 'managed' | 'start_pfn'>[];
}

const ND_ATTRIBUTES: Record<string, readonly string[]> = {
  namespace: ['size', 'resource', 'mode', 'holder', 'holder_class', 'sector_size', 'alt_name'],
  region: ['size', 'resource', 'align', 'max_available_extent', 'available_size'],
  pfn: ['mode', 'align', 'supported_alignments', 'size', 'resource'],
  dax: ['mode', 'align', 'supported_alignments', 'size', 'resource'],
  btt: ['sector_size', 'size'],
  nmem: ['state'],
};
const BLOCK_ATTRIBUTES = ['size', 'ro', 'queue/logical_block_size', 'queue/physical_block_size', 'queue/dax'];
const DAX_ATTRIBUTES = ['size', 'align', 'resource', 'target_node', 'numa_node', 'mapping0/start', 'mapping0/end', 'mapping0/page_offset'];

export function liteState(root: VfsDir): LiteState {
  return liteStateOf({ ...readCaptureTexts(root), ndctl: ndctlList(root, ['-RNiv']) });
}

/** Make it of such texts, ours or a real machine's. */
export function liteStateOf({ ndctl, ...texts }: CaptureTexts & { readonly ndctl: unknown }): LiteState {
  const facts = parseCapture(texts);
  return {
    ...(ndctl === undefined ? {} : { ndctl }),
    nd: pick(facts.nd, (device) => ND_ATTRIBUTES[device.replace(/[\d.]+$/, '')]),
    block: pick(facts.block ?? {}, () => BLOCK_ATTRIBUTES),
    dax: pick(facts.dax ?? {}, () => DAX_ATTRIBUTES),
    iomem: texts.iomem.split('\n').filter((line) => / : .*(?:Persistent|Soft Reserved|namespace|dax|pfn|btt)/.test(line)),
    zones: facts.zones
      .filter(({ present }) => present > 0)
      .map(({ node, zone, spanned, present, managed, start_pfn }) => ({
        node,
        zone,
        spanned,
        present,
        managed,
        ...(start_pfn === undefined ? {} : { start_pfn }),
      })),
  };
}

/** The parts that differ from the snapshot before; all of them if there was none. */
export function liteDifference(now: LiteState, before: LiteState | undefined): Partial<LiteState> {
  if (!before) return now;
  const parts = (Object.keys(now) as (keyof LiteState)[]).filter((part) => JSON.stringify(now[part]) !== JSON.stringify(before[part]));
  return Object.fromEntries(parts.map((part) => [part, now[part]]));
}

function pick(devices: DeviceFacts, wanted: (device: string) => readonly string[] | undefined): DeviceFacts {
  const picked: DeviceFacts = {};
  for (const [device, attributes] of Object.entries(devices)) {
    const names = wanted(device)?.filter((name) => attributes[name] !== undefined);
    if (names) picked[device] = Object.fromEntries(names.map((name) => [name, attributes[name]!]));
  }
  return picked;
}
