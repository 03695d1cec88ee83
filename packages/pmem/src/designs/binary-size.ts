/** Sizes for people: `16 GiB`, `6.25 TiB`, `258 MiB`. */
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Exact to two digits behind the point. */
export function binarySize(bytes: number): string {
  const scale = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return `${Math.round((bytes / 1024 ** scale) * 100) / 100} ${UNITS[scale]}`;
}
