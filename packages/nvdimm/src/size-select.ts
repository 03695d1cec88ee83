/**
 * Attributes that offer a choice of sizes, and UUIDs, as user space writes them. Mirrors drivers/nvdimm/core.c: nd_size_select_show,
 * nd_size_select_store, nd_uuid_parse.
 */
import { KernelError, parseU64 } from '@holdfast/lib';
import { values } from './nd-request.js';
import { formatUuid } from './uuid.js';

/** All sizes, the chosen one in brackets. */
export function showChoice(choices: readonly number[], chosen: number): string {
  return choices.map((size) => (size === chosen ? `[${size}] ` : `${size} `)).join('');
}

/** @throws KernelError EINVAL if it is none of the choices, or no number; ERANGE */
export function parseChoice(text: string, choices: readonly number[]): number {
  const value = Number(parseU64(text));
  if (!choices.includes(value)) throw new KernelError('EINVAL', `${value}: expected one of ${choices.join(', ')}`, values(nearestOf(choices, value)));
  return value;
}

function nearestOf(choices: readonly number[], wanted: number): number {
  return choices.reduce((best, choice) => (Math.abs(choice - wanted) < Math.abs(best - wanted) ? choice : best));
}

/** 32 hexadecimal digits; between two bytes there may be `-` or `:`, and anything behind the last is not read. @throws KernelError EINVAL */
export function parseStoredUuid(text: string): string {
  const match = /^(?:[0-9a-f]{2}[-:]?){16}/i.exec(text);
  if (!match) throw new KernelError('EINVAL', `UUID '${text.trimEnd()}': expected 32 hexadecimal digits`);
  return formatUuid(Uint8Array.from(match[0].replaceAll(/[-:]/g, '').match(/../g)!, (pair) => parseInt(pair, 16)));
}
