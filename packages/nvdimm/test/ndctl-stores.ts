/**
 * The stores to a namespace's attributes that ndctl 76 makes for each command, as label updates: one DIMM, v1.1 labels.
 */
import { type LabelArea, type NewLabel, deleteLabels, updateLabels } from '../src/label-area.js';
import { NULL_UUID } from '../src/uuid.js';

export interface Namespace {
  uuid: string;
  name?: string;
  dpa?: number;
  size: number;
  lbaSize?: number;
  cookie?: bigint;
}

/** `keepLbaSize`: a sector size that the label cannot carry is not stored. */
export function createNamespace(area: LabelArea, ns: Namespace, { keepLbaSize = false } = {}): void {
  deleteLabels(area, ns.uuid); // uuid, while the namespace has no size
  deleteLabels(area, ns.uuid); // alt_name
  store(area, ns, keepLbaSize ? ['size', 'holder_class'] : ['size', 'sector_size', 'holder_class']);
}

export function reconfigureNamespace(area: LabelArea, old: Namespace, ns: Namespace, { keepLbaSize = false } = {}): void {
  updateLabels([{ area, label: labelOf(old) }]); // holder_class
  updateLabels([{ area, label: labelOf({ ...old, uuid: ns.uuid }), replaces: old.uuid }]);
  store(area, ns, keepLbaSize ? ['alt_name', 'size', 'holder_class'] : ['alt_name', 'size', 'sector_size', 'holder_class']);
}

export function destroyNamespace(area: LabelArea, ns: Namespace): void {
  updateLabels([{ area, label: labelOf(ns) }]); // holder_class
  deleteLabels(area, ns.uuid); // size
}

/** Whichever attribute is stored, the whole label is written. */
function store(area: LabelArea, ns: Namespace, attributes: readonly string[]): void {
  attributes.forEach(() => updateLabels([{ area, label: labelOf(ns) }]));
}

export function labelOf({ uuid, name = '', dpa = 0, size, lbaSize = 512, cookie = 0x2468ac00123456n }: Namespace): NewLabel {
  return { uuid, name, nlabel: 1, position: 0, isetCookie: cookie, lbaSize, dpa, rawSize: size, align: 0, typeGuid: NULL_UUID, abstractionGuid: NULL_UUID };
}
