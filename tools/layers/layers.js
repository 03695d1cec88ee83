/**
 * Who may import whom: the one list that lint, the tidy test and ARCHITECTURE.md read. Bottom first.
 * A package imports packages of its own layer or below, and only those that its package.json names.
 */

/** @type {readonly (readonly string[])[]} */
export const LAYERS = [
  ['lib'],
  ['machine', 'e820'],
  ['memory-hotplug'],
  ['mm'],
  ['acpi', 'driver-core', 'block', 'pci'],
  ['virtio', 'dmaengine'],
  ['nvdimm'],
  ['pmem', 'pmem-pci', 'dax', 'kmem', 'sd', 'fs'],
  ['kernel'],
  ['nbd', 'compare'],
  ['cli'],
];

/** Where `node:` modules may be imported; all else runs in a browser, too. */
export const NODE_ALLOWED = ['packages/cli/**', 'packages/nbd/**', 'packages/machine/src/node/**', 'tools/**'];

/** The packages that `name` may import, by the layers alone. */
export function importableBy(name) {
  const layer = LAYERS.findIndex((names) => names.includes(name));
  if (layer < 0) throw new Error(`package '${name}' is in no layer: add it to tools/layers/layers.js`);
  return LAYERS.slice(0, layer + 1).flat().filter((other) => other !== name);
}

export const PACKAGES = LAYERS.flat();
