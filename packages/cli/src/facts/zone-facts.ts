/**
 * /proc/zoneinfo as facts: spans, counts and watermarks of each zone. Mirrors what mm/vmstat.c prints.
 */

export interface ZoneFact {
  node: number;
  zone: string;
  min: number;
  low: number;
  high: number;
  spanned: number;
  present: number;
  managed: number;
  cma: number;
  protection: number[];
  /** Only zones with pages tell where they start. */
  start_pfn?: number;
}

/** Read the text of /proc/zoneinfo; lines that are no fact are passed over. */
export function parseZoneinfo(text: string): ZoneFact[] {
  const zones: ZoneFact[] = [];
  for (const line of text.split('\n')) {
    const head = /^Node (\d+), zone\s+(\w+)/.exec(line);
    if (head) {
      zones.push({ node: Number(head[1]), zone: head[2]!, min: 0, low: 0, high: 0, spanned: 0, present: 0, managed: 0, cma: 0, protection: [] });
      continue;
    }
    const zone = zones.at(-1);
    const field = /^\s+(min|low|high|spanned|present|managed|cma)\s+(\d+)$/.exec(line) ?? /^\s+(start_pfn):\s+(\d+)$/.exec(line);
    if (zone && field) zone[field[1] as 'min'] = Number(field[2]);
    const protection = /^\s+protection: \((.*)\)$/.exec(line);
    if (zone && protection) zone.protection = protection[1]!.split(',').map(Number);
  }
  return zones;
}
