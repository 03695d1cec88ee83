/**
 * Bringing a claimed namespace up: its info block is found or written, and says what to map.
 * Mirrors drivers/nvdimm/pfn_devs.c: nvdimm_setup_pfn.
 */
import { KERN, KernelError, type NearestRequest } from '@holdfast/lib';
import { pfnNamespace, whoLogs } from './claim-probe.js';
import type { PfnRefusal } from './info-block-check.js';
import type { NamespaceIo } from './namespace-io.js';
import type { NdCore, NdPfn } from './nd-device.js';
import { after, setupLines, storeLine } from './nd-request.js';
import { type PfnMapping, initPfn, setupPfn } from './pfn-init.js';

/** A pfn or dax device whose driver is probing it, as it is to be mapped. From now on the device knows its block. */
export interface PfnSetup {
  readonly mapping: PfnMapping;
  /** Bytes from the mapping's start to the data. */
  readonly dataOffset: number;
  /** Bytes: how the data is to be mapped. */
  readonly align: number;
}

/** @throws KernelError ENODEV without UUID or namespace, and with what the rules of info blocks refuse; logged as in Linux */
export function setupNdPfn(core: NdCore, pfn: NdPfn, io: NamespaceIo): PfnSetup {
  const { namespace: ns, uuid, mode, align, region } = pfn;
  if (!ns || uuid === undefined) throw new KernelError('ENODEV', `${pfn.name} needs a UUID and a namespace first`, after(...setupLines(core, pfn)));
  const who = whoLogs(core, pfn);
  const refuse = ({ code, log, rule, nearest }: PfnRefusal): KernelError => {
    if (log !== undefined) core.printk(`${who}: ${log}`, code === 'ENXIO' && log.includes('read-only') ? KERN.info : KERN.err);
    return new KernelError(code, `${pfn.name}: ${rule}`, {
      nearest: mode === 'none' ? [{ first: storeLine(pfn.name, 'mode', 'pmem') }] : nearestRequests(pfn, nearest),
    });
  };
  const namespace = pfnNamespace(ns);
  const init = initPfn(io, { kind: pfn.type, namespace, settings: { uuid, mode, align }, region });
  if ('refused' in init) throw refuse(init.refused);
  const setup = setupPfn(namespace, init.valid);
  if ('refused' in setup) throw refuse(setup.refused);
  if (setup.log !== undefined) core.printk(`${who}: ${setup.log}`, KERN.info);
  pfn.block = init.valid;
  return { mapping: setup.mapping, dataOffset: init.valid.dataOffset, align: init.valid.align };
}

/** By itself, a claim changes its alignment only: the size is the namespace's. */
function nearestRequests({ name }: NdPfn, { start, sizeBytes, align }: NonNullable<PfnRefusal['nearest']> = {}): NearestRequest[] {
  return [
    ...(align === undefined ? [] : [{ align, first: storeLine(name, 'align', align) }]),
    ...(sizeBytes === undefined ? [] : [{ sizeBytes }]),
    ...(start === undefined ? [] : [{ start }]),
  ];
}
