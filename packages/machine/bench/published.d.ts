import type * as MachinePackage from '@holdfast/machine';

export interface Row {
  readonly name: string;
  readonly unit: 'ns' | 'GB/s' | 'EWR' | 'x';
  readonly published: number;
  readonly source: string;
  readonly measured: number;
}

export function microbenchmarks(machinePackage: typeof MachinePackage): Row[];
export function deviation(row: Row): number;
export function formatTable(rows: readonly Row[]): string;
