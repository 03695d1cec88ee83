/**
 * One value that a subsystem shows under /sys or /proc. Mirrors include/linux/sysfs.h: struct attribute, show, store.
 * A package exports lists of these; the kernel hangs them into its trees, so that each read asks the subsystem anew.
 */
export interface Attribute {
  readonly name: string;
  /** Permission bits, such as 0o444. */
  readonly mode: number;
  /** The text, with the newline that Linux prints. @throws KernelError */
  show?(): string;
  /** Takes the text that was written. @throws KernelError with the errno that write(2) returns. */
  store?(text: string): void;
}

/** A read-only attribute; the newline is added. */
export function readOnly(name: string, show: () => string | number, mode = 0o444): Attribute {
  return { name, mode, show: () => `${show()}\n` };
}

/** An attribute that can be written, too. */
export function readWrite(name: string, show: () => string | number, store: (text: string) => void, mode = 0o644): Attribute {
  return { name, mode, show: () => `${show()}\n`, store };
}
