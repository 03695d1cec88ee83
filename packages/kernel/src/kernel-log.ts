/**
 * The kernel log: lines with a virtual time and a level. Mirrors kernel/printk/printk.c, and what dmesg(1) shows.
 */
import { type LogLevel, type Printk, KERN } from '@holdfast/lib';

export interface LogLine {
  /** Virtual nanoseconds since power-on. */
  readonly ns: number;
  readonly level: LogLevel;
  readonly text: string;
}

export interface KernelLog {
  readonly lines: readonly LogLine[];
  readonly printk: Printk;
}

/** `now` gives virtual nanoseconds; `onLine` sees each line as it is logged (a console). */
export function createKernelLog(now: () => number, onLine?: (line: LogLine) => void): KernelLog {
  const lines: LogLine[] = [];
  return {
    lines,
    printk(text, level = KERN.info) {
      const line = { ns: now(), level, text };
      lines.push(line);
      onLine?.(line);
    },
  };
}

/** `[    0.000000] text`, as dmesg prints it. */
export function formatLogLine({ ns, text }: LogLine): string {
  const micros = Math.floor(ns / 1000);
  const seconds = String(Math.floor(micros / 1e6)).padStart(5);
  return `[${seconds}.${String(micros % 1e6).padStart(6, '0')}] ${text}`;
}
