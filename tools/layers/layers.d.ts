export const LAYERS: readonly (readonly string[])[];
export const NODE_ALLOWED: readonly string[];
export const PACKAGES: readonly string[];
export function importableBy(name: string): string[];
