/** Sizes as busybox writes them for people. Mirrors its libbb/human_readable.c: make_human_readable_str. */

/** `27.1G`: the first unit of 1024 in which it is below 1024. */
export function humanReadable(bytes: number): string {
  if (bytes < 1024) return String(bytes);
  let [value, tenths, unit] = [bytes, 0, -1];
  for (; value >= 1024; unit++) {
    tenths = Math.floor(((value % 1024) * 10 + 512) / 1024);
    value = Math.floor(value / 1024);
  }
  return tenths >= 10 ? `${value + 1}.0${'KMGTPE'[unit]}` : `${value}.${tenths}${'KMGTPE'[unit]}`;
}

/** The same in units of `unit` bytes, to the nearest. */
export function inUnits(bytes: number, unit: number): string {
  return String(Math.floor((bytes + unit / 2) / unit));
}
