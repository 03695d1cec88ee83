/** What `ndctl list` and `daxctl list` say of a running kernel, as the captures keep it beside the kernel's own words. */
import type { VfsDir } from '@holdfast/kernel';
import type { DaxctlContext } from '../commands/daxctl/context.js';
import { list as listDax } from '../commands/daxctl/list.js';
import type { NdctlContext } from '../commands/ndctl/context.js';
import { list as listNd } from '../commands/ndctl/list.js';

type Out = (data: string | Uint8Array) => void;

/** What `ndctl list OPTIONS` prints; undefined if it prints nothing. */
export function ndctlList(root: VfsDir, options: readonly string[]): unknown {
  return collect((out) => listNd({
    ...silent(root, out), refused: () => {}, now: () => 0, pid: () => 0, uuid: () => '', sleep: () => {}, stdin: () => new Uint8Array(0),
    commandName: '', errors: 0, announced: new Set(), daxRegions: new Set(),
  }, options));
}

/** What `daxctl list OPTIONS` prints; undefined if it prints nothing. */
export function daxctlList(root: VfsDir, options: readonly string[]): unknown {
  return collect((out) => listDax(silent(root, out), options));
}

function silent(root: VfsDir, out: Out): DaxctlContext & Pick<NdctlContext, 'out'> {
  return { root, out, line: () => {}, explain: () => {}, again: () => 'daxctl', resolve: (path) => path, verbose: false };
}

function collect(run: (out: Out) => void): unknown {
  let text = '';
  run((data) => {
    text += String(data);
  });
  return text === '' ? undefined : (JSON.parse(text) as unknown);
}
