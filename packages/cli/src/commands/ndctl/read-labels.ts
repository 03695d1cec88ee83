/** `ndctl read-labels`: the label area of DIMMs as bytes or as JSON. Mirrors ndctl's ndctl/dimm.c: action_read, dump_json. */
import { parseGuid } from '@holdfast/lib';
import { type ConfigArea, type LabelGeometry, type LabelSize, type NamespaceLabel, everyLabel, formatUuid, labelGeometry } from '@holdfast/nvdimm';
import { concat, openFile, toBytes } from '../../console/open-file.js';
import type { Failure, NdctlContext } from './context.js';
import { LABEL_OPTIONS, dimmsFor, forEachDimm, parseDimmOptions, reportDimms } from './dimm-walk.js';
import { refuseWithoutArea } from './init-labels.js';
import { type Json, type JsonObject, jsonList } from './json-text.js';
import { configAreaOf, traceIndexRead, traceRead } from './label-area-access.js';
import { exitWithUsage } from './parse-options.js';
import { humanHex, humanSize } from './size.js';
import type { Dimm } from './topology.js';
import { labelExtent } from './write-labels.js';

const USAGE = 'ndctl read-labels <nmem0> [<nmem1>..<nmemN>] [-o <filename>]';
const OPTIONS = [
  ...LABEL_OPTIONS,
  { short: 'o', long: 'output', value: 'output-file', help: 'filename to write label area contents' },
  { short: 'j', long: 'json', help: 'parse label data into json' },
  { short: 'u', long: 'human', help: 'use human friendly number formats (implies --json)' },
  { short: 'I', long: 'index', help: 'limit read to the index block area' },
];

export function readLabels(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseDimmOptions(ctx, args, { usage: USAGE, options: OPTIONS });
  const human = options.has('human');
  const json = options.has('json') || human;
  const [sized, index] = [Number(options.value('size') ?? 0) > 0, options.has('index')];
  if (json && (sized || Number(options.value('offset') ?? 0) > 0)) {
    ctx.line('--size and --offset are incompatible with --json');
    exitWithUsage(ctx, USAGE, OPTIONS);
  }
  if (index && sized) {
    ctx.line('pick either --size, or --index, not both');
    exitWithUsage(ctx, USAGE, OPTIONS);
  }
  const parts: Uint8Array[] = [];
  const list: JsonObject[] = [];
  const result = forEachDimm(dimmsFor(ctx, options), (dimm): Failure => {
    const area = configAreaOf(ctx, dimm);
    if (!area) {
      refuseWithoutArea(ctx, dimm);
      return 'EINVAL';
    }
    const geometry = geometryOf(area);
    if (index) traceIndexRead(ctx, dimm, area);
    else traceRead(ctx, dimm, Number(options.value('size') ?? 0) || area.sizeBytes);
    if (json) {
      if (!geometry) return 'ENOMEM';
      list.push(labelsJson(dimm, area, geometry, { human, index }));
      return undefined;
    }
    const extent = index ? { offset: 0, length: 2 * (geometry?.indexSize ?? 0) } : labelExtent(options, area.sizeBytes);
    if (!extent) return 'EINVAL';
    parts.push(area.read(extent.offset, extent.length));
    return undefined;
  });
  if (list.length > 0) parts.push(toBytes(jsonList(list)));
  write(ctx, options.value('output'), concat(parts));
  return reportDimms(ctx, (nmems) => `read ${nmems}`, result);
}

function write(ctx: NdctlContext, path: string | undefined, bytes: Uint8Array): void {
  if (path === undefined) {
    ctx.out(bytes);
    return;
  }
  const file = openFile(ctx.root, ctx.resolve(path), { write: true, truncate: true });
  file.pwrite(bytes, 0);
  file.close();
}

const INDEX_ALIGN = 256;
const [SEQ, NSLOT, MAJOR, MINOR, LABEL_SIZE_CODE] = [20, 56, 60, 62, 19];

/** ndctl believes in v1.2 only if both blocks say so, and does not check them. */
function geometryOf(area: ConfigArea): LabelGeometry | undefined {
  const minors = [0, INDEX_ALIGN].map((at) => {
    const header = viewOf(area.read(at, 72));
    return header.getUint16(MAJOR, true) === 1 ? header.getUint16(MINOR, true) : 0;
  });
  const labelSize: LabelSize = minors.filter((minor) => minor === 2).length > minors.filter((minor) => minor === 1).length ? 256 : 128;
  return labelGeometry(area.sizeBytes, labelSize);
}

function labelsJson({ name }: Dimm, area: ConfigArea, geometry: LabelGeometry, { human, index }: { human: boolean; index: boolean }): JsonObject {
  const { indexSize, labelSize } = geometry;
  const blocks = [0, indexSize].map((at) => indexJson(area.read(at, 72)));
  if (index) return { dev: name, index: blocks };
  const nrSlots = Math.floor((area.sizeBytes - 2 * indexSize) / labelSize);
  // Every slot is looked at, whatever the index blocks say of it.
  const labels = everyLabel({ config: area, geometry, current: 0, seq: 0, nrSlots, free: new Uint8Array(0) });
  return { dev: name, index: blocks, label: labels.map((label) => labelJson(label, labelSize, human)) };
}

function indexJson(header: Uint8Array): JsonObject {
  const view = viewOf(header);
  const text = String.fromCharCode(...header.subarray(0, 15));
  return {
    signature: text.includes('\0') ? text.slice(0, text.indexOf('\0')) : text,
    major: view.getUint16(MAJOR, true),
    minor: view.getUint16(MINOR, true),
    labelsize: 128 * 2 ** view.getUint8(LABEL_SIZE_CODE),
    seq: view.getUint32(SEQ, true),
    nslot: view.getUint32(NSLOT, true),
  };
}

function labelJson(label: NamespaceLabel, labelSize: LabelSize, human: boolean): JsonObject {
  const hex = (value: number | bigint): Json => (human ? humanHex(value) : value);
  return {
    uuid: label.uuid,
    name: label.name,
    slot: label.slot,
    position: label.position,
    nlabel: label.nlabel,
    flags: hex(label.flags),
    isetcookie: hex(label.isetCookie),
    lbasize: label.lbaSize,
    dpa: hex(label.dpa),
    rawsize: human ? humanSize(label.rawSize) : label.rawSize,
    ...(labelSize === 256 ? { type_guid: bytewise(label.typeGuid), abstraction_guid: bytewise(label.abstractionGuid) } : {}),
  };
}

/** ndctl prints a GUID's bytes in their order on the medium, though its first three parts are little-endian there. */
function bytewise(guid: string): string {
  return formatUuid(parseGuid(guid));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
