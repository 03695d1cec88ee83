/**
 * boot(): a machine, its firmware and a command line become a running kernel. Mirrors init/main.c: start_kernel.
 * Read it from top to bottom: it is the story that the log tells.
 */
import {
  DEFAULT_RELEASE, KERN, KernelError, KernelPanic, type PhysAddr, createIda, createIomem, findParam, parseCmdline, pfnToSectionNr, physAdd, physToPfn,
} from '@holdfast/lib';
import { REQ, REQ_OP, allocBio, createBlock, submitBioWait } from '@holdfast/block';
import { createDaxHosts, createDaxMmapLog } from '@holdfast/dax';
import type { DmaChannel } from '@holdfast/dmaengine';
import { createPlatformBus } from '@holdfast/driver-core';
import { type FsDirectory, createMounts, createRamfs, ext4Types, xfsType } from '@holdfast/fs';
import { type Sections, createAcpiMemory, createDeviceMemory, createMemoryHotplug, hotplugPolicy, probeMemoryBlockSize } from '@holdfast/memory-hotplug';
import { createDevicePagesMap, runFlusher, syncPageCache } from '@holdfast/mm';
import { createNvdimms } from '@holdfast/nvdimm';
import { createPci } from '@holdfast/pci';
import type { PageHost } from '@holdfast/pmem';
import type { BootOptions } from './boot-options.js';
import { chargeDeferredInit } from './boot-time.js';
import { driverSet } from './drivers.js';
import { createFirmwareMemmap } from './firmware-memmap.js';
import { type Initcall, initcallBlacklist, runInitcalls } from './initcalls.js';
import type { BootOutcome, Kernel } from './kernel.js';
import { DEBIAN_6_1_IMAGE } from './kernel-image.js';
import { type KernelLog, createKernelLog } from './kernel-log.js';
import { mmInit } from './mm-init.js';
import { createFileOpener } from './open-file.js';
import { ownMounts, shmemDefaultMaxBlocks } from './own-mounts.js';
import { type ProcessNeeds, createProcess } from './process.js';
import { createProc, versionBanner } from './procfs.js';
import { setupArch } from './setup-arch.js';
import { devBlock } from './sysfs-block.js';
import { devDax } from './sysfs-dax.js';
import { devNvdimm } from './sysfs-nvdimm.js';
import { createSwapCalls } from './swap-calls.js';
import { pciIommuInit } from './swiotlb.js';
import { createSys } from './sysfs.js';
import { createUserAccess } from './user-access.js';
import { createMountCalls, vfsOfFs, withMounts } from './vfs-mounts.js';
import { type VfsDir, vfsDir } from './vfs.js';

/** Boot. A panic is an outcome, with the log up to it. @throws KernelError EINVAL if the firmware's texts or tables cannot be read. */
export function boot(options: BootOptions): BootOutcome {
  const { machine } = options;
  const log = createKernelLog(() => machine.clock.now, options.onLogLine);
  try {
    return { kernel: startKernel(options, log), log };
  } catch (error) {
    if (!(error instanceof KernelPanic)) throw error;
    const reason = `Kernel panic - not syncing: ${error.message}`;
    log.printk(reason, KERN.emerg);
    log.printk(`---[ end ${reason} ]---`, KERN.emerg);
    return { panic: error.message, log };
  }
}

function startKernel(options: BootOptions, log: KernelLog): Kernel {
  const { machine, pci: pciHost, firmware, cmdline, release = DEFAULT_RELEASE, config = {}, virtio = [], drives = [] } = options;
  const { printk } = log;
  const params = parseCmdline(cmdline);
  pciHost?.reset();
  printk(versionBanner(release), KERN.notice);
  printk(`Command line: ${cmdline}`);

  // From the firmware's map to nodes, sections and zones.
  const iomem = createIomem(2 ** machine.cpu.physBits - 1);
  const arch = setupArch({ machine, firmware, params, release, printk, iomem, image: DEBIAN_6_1_IMAGE, config });

  // From zones to pages that can be handed out.
  const devicePages = createDevicePagesMap();
  const mm = mmInit({ arch, machine, release, printk, cmdline, params, image: DEBIAN_6_1_IMAGE, devicePages });
  if (!arch.hasTrampoline) throw new KernelPanic('Real mode trampoline was not allocated');

  // Memory as sysfs and drivers see it.
  const policy = hotplugPolicy(params, release, printk);
  const blockSize = probeMemoryBlockSize({ maxPfn: arch.maxPfn, totalRam: mm.totalRamBytes(), hypervisor: machine.cpu.hypervisor, release }, printk);
  const maxPhysAddr = 2 ** machine.cpu.physBits;
  const { sections, numa } = arch;
  const firmwareMemmap = createFirmwareMemmap(arch.firmwareMemmap);
  const memoryHotplug = createMemoryHotplug({
    sections,
    source: mm.memmapSource,
    onliner: mm.onliner,
    pageRuns: mm.pageRuns,
    policy,
    blockSize,
    iomem,
    maxPhysAddr,
    possibleNodes: numa.possible,
    addressToNode: (addr) => numa.memoryAddPhysaddrToNid(addr),
    firmwareMap: firmwareMemmap,
    printk,
    release,
  });
  const acpiMemory = createAcpiMemory({
    hotplug: memoryHotplug,
    pxmToNode: (pxm) => numa.pxmToNode(pxm),
    addressToNode: (addr) => numa.memoryAddPhysaddrToNid(addr),
    printk,
  });
  const deviceMemory = createDeviceMemory({ sections, source: mm.memmapSource, zoneDevice: mm.zoneDevice, iomem, maxPhysAddr, printk });

  const pageHost: PageHost = {
    cpu: machine.cpu,
    memory: machine.memory,
    clock: machine.clock,
    iomem,
    printk,
    release,
    frames: mm.memmapSource,
    hasBootPages: (start, sizeBytes) => hasBootPages(sections, start, sizeBytes),
    memremapPages: (pgmap, nid) => deviceMemory.memremapPages(pgmap, nid),
    memoryHotplug,
    chargeStores: (start, sizeBytes, type) => machine.chargeStores(start, sizeBytes, type),
    pageRefs: mm.pageRefs,
  };

  // Buses first, then drivers; devices appear last, and find their driver waiting.
  const platform = createPlatformBus(iomem, printk, release);
  const memregions = createIda();
  const nvdimms = createNvdimms({ iomem, printk, memregions, release });
  const forceGpt = findParam(params, 'gpt') !== undefined;
  const block = createBlock({ printk, memory: machine.memory, pages: mm.pages, pageCache: mm.pageCache, clock: machine.clock, release, forceGpt });
  const dma: DmaChannel[] = [];
  const daxHosts = createDaxHosts();
  const pci = pciHost && createPci({ bridge: pciHost, printk });
  const { initcalls, buses, dax, modules, pmem } = driverSet({
    acpiMemory, arch, block, config, daxHosts, deviceMemory, devicePages, dmaChannels: dma, firmware, iomem, machine, memoryHotplug, memregions,
    nvdimms, pageHost, pages: mm.hypervisorPages, params, platform, printk, release, virtio, drives,
    ...(pci ? { pci } : {}),
  });
  chargeDeferredInit(machine, arch); // page_alloc_init_late
  const showMemmap: Initcall = { level: 'late', name: 'firmware_memmap_init', run: () => firmwareMemmap.showBootRows() };
  const pciIommu: Initcall = { level: 'rootfs', name: 'pci_iommu_init', run: () => pciIommuInit(mm.swiotlb, release, printk) };
  const undoInitcalls = runInitcalls([pciIommu, ...initcalls, showMemmap], initcallBlacklist(params));

  // File systems, on disks that are there now.
  const now = (): number => RTC_AT_POWER_ON + Math.floor(machine.clock.now / 1e9);
  const mounts = createMounts({ printk, daxHosts, pageCache: mm.pageCache, release, now }, [...ext4Types(), xfsType()]);
  const maxPages = shmemDefaultMaxBlocks(mm.totalRamBytes());
  const rootfs = createRamfs({ now, maxPages });
  for (const name of ['mnt', 'tmp']) rootfs.mkdir(name, 0o755);
  const devtmpfs = createRamfs({ now, maxPages });
  const daxMmapLog = createDaxMmapLog(printk, machine.clock);
  const dev = withFiles(devtmpfs, vfsDir(() => ({ ...devBlock(block), ...devDax(dax, daxMmapLog), ...devNvdimm(nvdimms) })));
  const own = ownMounts({ rootfs, devtmpfs, devices: () => dev.list(), maxPages });
  const proc = createProc({
    cmdline, release, iomem, block, mm: mm.texts, pageCache: mm.pageCache, printk, mounts, ownMounts: own, now: () => machine.clock.now,
  });
  const sys = createSys({
    block,
    buses,
    dax,
    nvdimms,
    ...(pci ? { pci } : {}),
    firmwareMemmap: firmwareMemmap.entries,
    acpiTables: acpiTables(firmware),
    memoryBlocks: memoryHotplug.blocks,
    numa: arch.numa,
    nodeTexts: mm.nodeTexts,
    modules: { memory_hotplug: policy.parameters, ...modules },
    nrCpus: machine.cpus.length,
    printk,
  });
  const root = withMounts(withFiles(rootfs, vfsDir({ proc, sys, dev })), mounts);
  let lastPid = 1; // init
  let lastSync = 0;
  const processes: ProcessNeeds = {
    pages: mm.userPages,
    access: createUserAccess({ cpu: machine.cpu, memory: machine.memory }),
    files: createFileOpener({ root, daxHosts, release }),
    nextPid: () => ++lastPid,
    running: new Set(),
  };
  return {
    release,
    cmdline,
    machine,
    acpiMemory,
    devicePages,
    pmem,
    dma,
    ...(pci ? { pci } : {}),
    log,
    block,
    root,
    swap: createSwapCalls(root, mm.swap),
    mounts: createMountCalls(root, mounts, own),
    now,
    sync() {
      mounts.sync();
      syncPageCache(mm.pageCache);
    },
    createProcess: (comm) => createProcess(processes, comm),
    sleep(ns) {
      machine.clock.advance(ns);
      runFlusher(mm.pageCache);
      if (machine.clock.now - lastSync < DIRTY_EXPIRE_NS) return;
      lastSync = machine.clock.now;
      mounts.sync();
    },
    shutdown() {
      for (const process of [...processes.running]) process.exit();
      mounts.umountAll();
      syncPageCache(mm.pageCache);
      // What drivers do when the machine goes down (nd_pmem_shutdown, sd_shutdown). Nobody is left to hear of errors.
      for (const { part0 } of block.disks) submitBioWait(allocBio(part0, 0, REQ_OP.WRITE | REQ.PREFLUSH));
      undoInitcalls();
      printk('reboot: Power down');
      machine.poweroff();
    },
  };
}

/** What the machine's calendar says when it is switched on, in seconds since 1970: the first of January 2023, at every boot. */
const RTC_AT_POWER_ON = 1_672_531_200;

/** What file systems have changed lies in memory for 30 seconds at most, while time passes. */
const DIRTY_EXPIRE_NS = 30e9;

/**
 * A file system in memory with the kernel's own trees or devices in it: the root, and devtmpfs. A file hides a device that comes later and has
 * its name, as it does in Linux: what was to go to the device then fills memory.
 */
function withFiles(memory: FsDirectory, own: VfsDir): VfsDir {
  const files = vfsOfFs(memory) as VfsDir;
  const checkFree = (name: string): void => {
    if (own.lookup(name)) throw new KernelError('EEXIST', `there is a ${name} already`);
  };
  return {
    ...files,
    list: () => new Set([...files.list(), ...own.list()]),
    lookup: (name) => files.lookup(name) ?? own.lookup(name),
    create(name, mode) {
      checkFree(name);
      return files.create!(name, mode);
    },
    mkdir(name, mode) {
      checkFree(name);
      files.mkdir!(name, mode);
    },
  };
}

/** Do all frames of a range lie in sections that boot made? */
function hasBootPages({ early }: Sections, start: PhysAddr, sizeBytes: number): boolean {
  let at = pfnToSectionNr(physToPfn(start));
  const end = pfnToSectionNr(physToPfn(physAdd(start, sizeBytes - 1))) + 1;
  for (const run of early) if (at >= run.start && at < run.end) at = run.end;
  return at >= end;
}

function acpiTables({ srat, slit, nfit }: BootOptions['firmware']): Record<string, Uint8Array> {
  return { ...(srat ? { SRAT: srat } : {}), ...(slit ? { SLIT: slit } : {}), ...(nfit ? { NFIT: nfit } : {}) };
}

