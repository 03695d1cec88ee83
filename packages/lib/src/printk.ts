/**
 * How a subsystem speaks to the kernel log. Mirrors include/linux/printk.h and kern_levels.h.
 * The log itself belongs to the kernel; a package receives this function and never a global.
 */
export const KERN = { emerg: 0, alert: 1, crit: 2, err: 3, warning: 4, notice: 5, info: 6, debug: 7 } as const;
export type LogLevel = (typeof KERN)[keyof typeof KERN];

/** Write one line, without its newline, at a level (`KERN.info` if left out). */
export type Printk = (text: string, level?: LogLevel) => void;

/** A log that keeps nothing, for callers who want the result only. */
export const silentPrintk: Printk = () => {};
