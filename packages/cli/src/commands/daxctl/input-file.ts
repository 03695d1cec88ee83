/**
 * A device as `daxctl list -M` printed it, to be created again. Mirrors ndctl's daxctl/device.c: parse_device_file.
 */
import { KernelError } from '@holdfast/lib';
import { openFile, readWhole } from '../../console/open-file.js';
import { parseSize64 } from '../ndctl/size.js';
import type { DaxctlContext } from './context.js';

export interface InputDevice {
  /** R of its name. */
  readonly region: string;
  /** Bytes, or -1 if it is no number. */
  readonly size: number;
  readonly align: number;
  /** By page offset; `end` is inclusive. */
  readonly mappings: readonly { readonly start: number; readonly end: number }[];
}

/** Undefined if there is no such file, or it does not describe a device. */
export function readInputDevice({ root, resolve }: DaxctlContext, path: string): InputDevice | undefined {
  const device = asRecord(parsed(root, resolve(path)));
  const { align, size, chardev, mappings } = device ?? {};
  const region = typeof chardev === 'string' ? /^dax(\d+)\.\d+/.exec(chardev)?.[1] : undefined;
  if (region === undefined || align === undefined || size === undefined || !Array.isArray(mappings)) return undefined;
  const ranges = mappings.map(rangeOf);
  if (ranges.includes(undefined)) return undefined;
  const sorted = (ranges as Range[]).sort((a, b) => a.pageOffset - b.pageOffset);
  return { region, size: bytesOf(size), align: bytesOf(align), mappings: sorted };
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly pageOffset: number;
}

function rangeOf(value: unknown): Range | undefined {
  const { start, end, page_offset: pageOffset } = asRecord(value) ?? {};
  if (!isAddress(start) || !isAddress(end) || !isAddress(pageOffset)) return undefined;
  return { start, end, pageOffset };
}

function isAddress(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function bytesOf(value: unknown): number {
  return parseSize64(String(value))?.bytes ?? -1;
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

function parsed(root: DaxctlContext['root'], path: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(readWhole(openFile(root, path))));
  } catch (error) {
    if (error instanceof KernelError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
