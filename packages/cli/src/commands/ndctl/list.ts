/** `ndctl list`: devices as JSON. Mirrors ndctl's ndctl/list.c: cmd_list, and filter.c: ndctl_filter_walk. */
import { dirAt } from '../../facts/sysfs.js';
import { type NdctlContext, error, exitStatus } from './context.js';
import {
  busPasses, dimmInRegion, dimmPasses, everything, namespacePasses, onNode, parseMode, regionHasDimm, regionHasNamespace, regionPasses,
} from './filter.js';
import { type JsonObject, jsonList, jsonText } from './json-text.js';
import { type JsonFlags, namespaceJson } from './namespace-json.js';
import { type OptionSpec, type ParsedOptions, exitWithUsage, parseOptions } from './parse-options.js';
import { busJson, dimmJson, regionJson } from './region-json.js';
import { isBound } from './sysfs-access.js';
import {
  type Dimm, type Mode, type NdBus, type Namespace, type Region, buses, dimms, isActive, mappings, modeOf, namespaces, regions, sizeOf,
} from './topology.js';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'b', long: 'bus', value: 'bus-id', help: 'filter by bus' },
  { short: 'r', long: 'region', value: 'region-id', help: 'filter by region' },
  { short: 'd', long: 'dimm', value: 'dimm-id', help: 'filter by dimm' },
  { short: 'n', long: 'namespace', value: 'namespace-id', help: 'filter by namespace id' },
  { short: 'm', long: 'mode', value: 'namespace-mode', help: 'filter by namespace mode' },
  { short: 't', long: 'type', value: 'region-type', help: 'filter by region-type' },
  { short: 'U', long: 'numa-node', value: 'numa node', help: 'filter by numa node' },
  { short: 'B', long: 'buses', help: 'include bus info' },
  { short: 'D', long: 'dimms', help: 'include dimm info' },
  { short: 'F', long: 'firmware', help: 'include firmware info' },
  { short: 'H', long: 'health', help: 'include dimm health' },
  { short: 'R', long: 'regions', help: 'include region info' },
  { short: 'N', long: 'namespaces', help: 'include namespace info (default)' },
  { short: 'X', long: 'device-dax', help: 'include device-dax info' },
  { short: 'C', long: 'capabilities', help: 'include region capability info' },
  { short: 'i', long: 'idle', help: 'include idle devices' },
  { short: 'c', long: 'configured', help: 'include configured namespaces, disabled or not' },
  { short: 'M', long: 'media-errors', help: 'include media errors' },
  { short: 'u', long: 'human', help: 'use human friendly number formats ' },
  { short: 'v', long: 'verbose', help: 'increase output detail' },
];
const USAGE = 'ndctl list [<options>]';

/** What is asked for. */
interface Request {
  readonly bus: string | undefined;
  readonly region: string | undefined;
  readonly dimm: string | undefined;
  readonly namespace: string | undefined;
  readonly mode: Mode | undefined;
  readonly node: number | undefined;
  /** False if only regions of the BLK kind are wanted, of which there are none. */
  readonly pmem: boolean;
  readonly buses: boolean;
  readonly dimms: boolean;
  readonly regions: boolean;
  readonly namespaces: boolean;
  readonly idle: boolean;
  readonly configured: boolean;
  readonly flags: JsonFlags;
}

export function list(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseOptions(args, OPTIONS, USAGE, ctx, ctx.out);
  for (const operand of options.operands) error(ctx, `unknown parameter "${operand}"\n`);
  if (options.operands.length > 0) exitWithUsage(ctx, USAGE, OPTIONS);
  const request = parseRequest(ctx, options);
  if (!request) return exitStatus('EINVAL');
  ctx.out(display(collect(ctx, request), request));
  return 0;
}

function parseRequest(ctx: NdctlContext, options: ParsedOptions): Request | undefined {
  const { has, value } = options;
  const level = options.count('verbose');
  const asked = has('buses') || has('dimms') || has('regions') || has('namespaces');
  const [bus, region, dimm] = [value('bus'), value('region'), value('dimm')];
  const include = (name: string, filter: string | undefined): boolean => has(name) || (!asked && filter !== undefined) || level >= 2;
  const shown = { buses: include('buses', bus), dimms: include('dimms', dimm), regions: include('regions', region) };
  const modeWord = value('mode') ?? (has('device-dax') && !asked ? 'dax' : undefined);
  const mode = modeWord === undefined ? undefined : parseMode(modeWord);
  const [type, node] = [value('type'), value('numa-node')];
  if (type !== undefined && type !== 'pmem' && type !== 'blk') {
    error(ctx, `unknown type "${type}" must be "pmem" or "blk"\n`);
    return undefined;
  }
  if (modeWord !== undefined && !mode) {
    error(ctx, `invalid mode: '${modeWord}'\n`);
    return undefined;
  }
  if (node !== undefined && node !== 'all' && !dirAt(ctx.root, '/sys/devices/system/node')) {
    error(ctx, 'This system does not support NUMA');
    return undefined;
  }
  if (node !== undefined && node !== 'all' && !/^-?\d+$/.test(node)) {
    error(ctx, `invalid numa_node: '${node}'\n`);
    return undefined;
  }
  return {
    bus, region, dimm, namespace: value('namespace'), mode, pmem: type !== 'blk',
    node: node === undefined || node === 'all' ? undefined : Number(node),
    ...shown,
    namespaces: has('namespaces') || level >= 1 || !(shown.buses || shown.dimms || shown.regions),
    idle: has('idle') || level >= 3,
    configured: has('configured'),
    flags: {
      human: has('human'),
      verbose: level >= 1,
      dax: has('device-dax') || level >= 1,
      mediaErrors: has('media-errors') || level >= 1,
      capabilities: has('capabilities') || level >= 3,
    },
  };
}

/** Lists of what was found; undefined where nothing of a kind was. */
interface Found {
  buses?: JsonObject[];
  dimms?: JsonObject[];
  regions?: JsonObject[];
  namespaces?: JsonObject[];
}

function collect(ctx: NdctlContext, request: Request): Found {
  const found: Found = {};
  for (const bus of buses(ctx).filter((each) => wantsBus(ctx, each, request))) {
    let parent: Found = found;
    if (request.buses) {
      const shown = busJson(ctx, bus);
      (found.buses ??= []).push(shown);
      parent = shown;
    }
    if (request.dimms) {
      for (const dimm of dimms(ctx, bus).filter((each) => wantsDimm(ctx, each, request))) (parent.dimms ??= []).push(dimmJson(ctx, dimm, request.flags));
    }
    for (const region of regions(ctx, bus).filter((each) => wantsRegion(ctx, each, request))) collectRegion(ctx, region, request, parent);
  }
  return found;
}

/** A disabled region is left out, but not its namespaces. */
function collectRegion(ctx: NdctlContext, region: Region, request: Request, parent: Found): void {
  let holder = parent;
  if (request.regions && (request.configured || request.idle || isBound(ctx, region.path))) {
    const wanted = dimms(ctx, region.bus).filter((dimm) => dimmPasses(dimm, request.dimm) && wantsIdle(ctx, dimm, request));
    const shown = request.dimms ? mappings(ctx, region).filter(({ dimm }) => wanted.some(({ name }) => name === dimm)) : [];
    const json = regionJson(ctx, region, request.flags, shown);
    (parent.regions ??= []).push(json);
    holder = json;
  }
  if (!request.namespaces) return;
  for (const ns of namespaces(ctx, region).filter((each) => wantsNamespace(ctx, each, request))) {
    const json = namespaceJson(ctx, ns, request.flags);
    if (json) (holder.namespaces ??= []).push(json);
  }
}

function wantsBus(ctx: NdctlContext, bus: NdBus, { bus: wanted, dimm, region, namespace }: Request): boolean {
  return (
    busPasses(ctx, bus, wanted) &&
    (everything(dimm) || dimms(ctx, bus).some((each) => dimmPasses(each, dimm))) &&
    (everything(region) || regions(ctx, bus).some((each) => regionPasses(each, region))) &&
    (everything(namespace) || regions(ctx, bus).some((each) => regionHasNamespace(ctx, each, namespace)))
  );
}

function wantsDimm(ctx: NdctlContext, dimm: Dimm, request: Request): boolean {
  const { region, namespace, node } = request;
  return (
    dimmPasses(dimm, request.dimm) &&
    (everything(region) || dimmInRegion(ctx, dimm, (each) => regionPasses(each, region))) &&
    (everything(namespace) || dimmInRegion(ctx, dimm, (each) => regionHasNamespace(ctx, each, namespace))) &&
    (node === undefined || dimmInRegion(ctx, dimm, (each) => onNode(ctx, each, node))) &&
    wantsIdle(ctx, dimm, request)
  );
}

function wantsIdle(ctx: NdctlContext, dimm: Dimm, { idle, configured }: Request): boolean {
  return idle || configured || isBound(ctx, dimm.path);
}

function wantsRegion(ctx: NdctlContext, region: Region, { region: wanted, dimm, namespace, node, pmem }: Request): boolean {
  return pmem && regionPasses(region, wanted) && regionHasDimm(ctx, region, dimm) && regionHasNamespace(ctx, region, namespace) && onNode(ctx, region, node);
}

function wantsNamespace(ctx: NdctlContext, ns: Namespace, { namespace, mode, idle, configured }: Request): boolean {
  if (!namespacePasses(ns, namespace) || (mode !== undefined && modeOf(ctx, ns) !== mode)) return false;
  return idle || isActive(ctx, ns) || (configured && sizeOf(ctx, ns) > 0);
}

/** One kind is a list, several are an object of lists. Namespaces count where the last region has some, though they are shown in it. */
function display({ buses, dimms, regions, namespaces }: Found, { flags }: Request): string {
  const human = flags.human ?? false;
  if (buses) return jsonList(buses, { human });
  const kinds = { ...(dimms ? { dimms } : {}), ...(regions ? { regions } : {}), ...(namespaces && !regions ? { namespaces } : {}) };
  const lists = Object.values(kinds);
  const nested = regions?.at(-1)?.['namespaces'] !== undefined;
  if (lists.length + Number(nested) > 1) return `${jsonText(kinds)}\n`;
  return lists[0] ? jsonList(lists[0], { human }) : '';
}
