/**
 * What ndctl 76 writes to sysfs and /dev for its commands, without its checks: the order of stores is that of ndctl/namespace.c.
 */
import { type VfsDir, type VfsNode, readFile, resolvePath, writeFile } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { initLabelArea } from '@holdfast/nvdimm';

export interface CreateOptions {
  /** `-e`: an existing namespace; else one is made in `region`. */
  reconfigure?: string;
  region?: string;
  mode: 'raw' | 'fsdax' | 'devdax' | 'sector';
  map?: 'mem' | 'dev';
  align?: number;
  sectorSize?: number;
  size?: number;
  name?: string;
  /** Of the format, and of the namespace below it. */
  uuid: string;
  rawUuid?: string;
}

const ND = '/sys/bus/nd/devices';
const SPARE_UUID = 'ffffffff-ffff-4fff-bfff-fffffffffff';
const CLASS = { raw: '', fsdax: 'pfn', devdax: 'dax', sector: 'btt' } as const;

export interface Ndctl {
  create(options: CreateOptions): string;
  destroy(ns: string): void;
  disable(ns: string): void;
  enable(ns: string): void;
  /** Look at a BTT from below. */
  check(ns: string): void;
  disableRegion(region: string): void;
  enableRegion(region: string): void;
  initLabels(dimm: string, labelSize?: 128 | 256): void;
  /** A device's attribute, without its newline; undefined if it is not there or cannot be read. */
  show(device: string, attribute: string): string | undefined;
  /** What a directory lists, by default the devices of the nd bus; sorted. */
  names(folder?: string): string[];
}

export function ndctlStores(root: VfsDir): Ndctl {
  let spares = 0;
  const show = (device: string, attribute: string): string | undefined => {
    try {
      return (readFile(root, `${ND}/${device}/${attribute}`) as string).replace(/\n$/, '');
    } catch (error) {
      if (error instanceof KernelError) return undefined;
      throw error;
    }
  };
  const store = (device: string, attribute: string, value: string | number): void => writeFile(root, `${ND}/${device}/${attribute}`, `${value}`);
  const driverOf = (device: string): string | undefined => nodeAt(root, `${ND}/${device}/driver`)?.target.split('/').at(-1);
  const isLabelled = (ns: string): boolean => show(ns, 'nstype') === '5';

  function bind(device: string): void {
    for (const driver of ['nd_bus', 'nvdimm', 'nd_region', 'nd_pmem', 'dax_pmem']) {
      if (quietly(() => writeFile(root, `/sys/bus/nd/drivers/${driver}/bind`, device))) return;
    }
  }
  function unbind(device: string): void {
    const driver = driverOf(device);
    if (driver) writeFile(root, `/sys/bus/nd/drivers/${driver}/unbind`, device);
  }

  function disable(ns: string): void {
    const holder = show(ns, 'holder');
    if (holder) {
      unbind(holder);
      store(holder, 'namespace', '\n');
    }
    unbind(ns);
  }

  /** Make it raw for a moment, and zero the first 8 KiB unless they are zeros already. */
  function zeroInfoBlock(ns: string): void {
    store(ns, 'force_raw', 1);
    bind(ns);
    const disk = diskOf(root, ns);
    if (disk) {
      const bytes = new Uint8Array(8192);
      disk.pread(bytes, 0);
      if (bytes.some((byte) => byte !== 0)) {
        disk.pwrite(bytes.fill(0), 0);
        disk.fsync();
      }
    }
    store(ns, 'force_raw', 0);
    unbind(ns);
  }

  /** Without -a, a namespace that keeps its mode keeps its alignment, which is a page if nothing says otherwise. */
  function presentAlign(ns: string, { mode }: CreateOptions): number | undefined {
    const now = { memory: 'fsdax', dax: 'devdax' }[show(ns, 'mode')!];
    const holder = show(ns, 'holder');
    return now === mode ? Number(holder ? show(holder, 'align') : 4096) : undefined;
  }

  function setUp(ns: string, options: CreateOptions, size: string | number): void {
    const { mode, map = 'dev', name = '', uuid, rawUuid, sectorSize = mode === 'sector' ? 4096 : undefined } = options;
    const region = show(ns, 'nstype') && `region${/^namespace(\d+)/.exec(ns)![1]}`;
    if (isLabelled(ns)) {
      const spare = `${SPARE_UUID}${(spares++).toString(16)}`;
      store(ns, 'uuid', rawUuid ?? (mode === 'raw' ? uuid : spare));
      store(ns, 'alt_name', name);
      store(ns, 'size', size);
      const present = /\[(\d+)\]/.exec(show(ns, 'sector_size')!)?.[1];
      const lba = sectorSize ?? Number((options.reconfigure !== undefined && present) || 512);
      if (lba === 512 || lba === 4096) store(ns, 'sector_size', lba);
    }
    // Not checked by ndctl, and refused for namespaces without labels.
    quietly(() => store(ns, 'holder_class', CLASS[mode] || '\n'));
    if (mode === 'raw' || (mode === 'fsdax' && map === 'mem' && show(ns, 'mode') === 'memory')) return bind(ns);
    const kind = CLASS[mode];
    const seed = show(region!, `${kind}_seed`)!;
    store(seed, 'uuid', uuid);
    if (mode === 'sector') store(seed, 'sector_size', sectorSize!);
    else {
      store(seed, 'mode', map === 'mem' ? 'ram' : 'pmem');
      if (options.align !== undefined) store(seed, 'align', options.align);
    }
    store(seed, 'namespace', ns);
    bind(seed);
    // Recovery: pfn and dax are released, a btt is not.
    if (driverOf(seed) === undefined && mode !== 'sector') store(seed, 'namespace', '\n');
  }

  return {
    show,
    names(folder = ND) {
      const dir = resolvePath(root, folder).node;
      return dir.kind === 'dir' ? [...dir.list()].sort() : [];
    },
    disable,
    create(options) {
      const { reconfigure, region = 'region0' } = options;
      if (reconfigure === undefined) {
        const zero = `namespace${region.slice(6)}.0`;
        const idle = show(zero, 'size') === '0' || (!isLabelled(zero) && driverOf(zero) === undefined && show(zero, 'holder') === '');
        const ns = idle ? zero : show(region, 'namespace_seed')!;
        setUp(ns, options, options.size ?? show(region, 'max_available_extent')!);
        return ns;
      }
      const size = options.size ?? show(reconfigure, 'size')!;
      const align = options.align ?? presentAlign(reconfigure, options);
      disable(reconfigure);
      quietly(() => store(reconfigure, 'holder_class', '\n'));
      zeroInfoBlock(reconfigure);
      setUp(reconfigure, { ...options, ...(align === undefined ? {} : { align }) }, size);
      return reconfigure;
    },
    destroy(ns) {
      disable(ns);
      quietly(() => store(ns, 'holder_class', '\n'));
      zeroInfoBlock(ns);
      if (isLabelled(ns)) store(ns, 'size', 0);
    },
    enable: bind,
    check(ns) {
      disable(ns);
      store(ns, 'force_raw', 1);
      bind(ns);
      disable(ns);
      store(ns, 'force_raw', 0);
      bind(ns);
    },
    disableRegion: unbind,
    enableRegion: bind,
    initLabels(dimm, labelSize = 128) {
      const node = resolvePath(root, `/dev/${dimm}`).node;
      if (node.kind !== 'char') throw new Error(`${dimm} is no character device`);
      initLabelArea(node.openConfigArea!(), labelSize, 'ndctl');
      unbind(dimm);
      bind(dimm);
    },
  };
}

/** The disk of a namespace, or of what holds it. */
function diskOf(root: VfsDir, device: string) {
  const folder = tryNode(root, `${ND}/${device}/block`);
  const name = folder?.kind === 'dir' ? [...folder.list()][0] : undefined;
  const node = name === undefined ? undefined : tryNode(root, `/dev/${name}`);
  return node?.kind === 'block' ? node.open() : undefined;
}

function nodeAt(root: VfsDir, path: string): Extract<VfsNode, { kind: 'link' }> | undefined {
  const node = tryNode(root, path, false);
  return node?.kind === 'link' ? node : undefined;
}

function tryNode(root: VfsDir, path: string, follow = true): VfsNode | undefined {
  try {
    return resolvePath(root, path, { follow }).node;
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

function quietly(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}
