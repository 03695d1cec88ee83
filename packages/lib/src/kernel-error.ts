/**
 * Errors are errnos: the number Linux returns in that place, its name, and a sentence.
 * Mirrors include/uapi/asm-generic/errno{-base,}.h and the texts of strerror(3).
 */
const ERRNOS = {
  EPERM: [1, 'Operation not permitted'],
  ENOENT: [2, 'No such file or directory'],
  EINTR: [4, 'Interrupted system call'],
  EIO: [5, 'Input/output error'],
  ENXIO: [6, 'No such device or address'],
  E2BIG: [7, 'Argument list too long'],
  EBADF: [9, 'Bad file descriptor'],
  EAGAIN: [11, 'Resource temporarily unavailable'],
  ENOMEM: [12, 'Cannot allocate memory'],
  EACCES: [13, 'Permission denied'],
  EFAULT: [14, 'Bad address'],
  ENOTBLK: [15, 'Block device required'],
  EBUSY: [16, 'Device or resource busy'],
  EEXIST: [17, 'File exists'],
  ENODEV: [19, 'No such device'],
  ENOTDIR: [20, 'Not a directory'],
  EISDIR: [21, 'Is a directory'],
  EINVAL: [22, 'Invalid argument'],
  ENOTTY: [25, 'Inappropriate ioctl for device'],
  ETXTBSY: [26, 'Text file busy'],
  EFBIG: [27, 'File too large'],
  ENOSPC: [28, 'No space left on device'],
  ESPIPE: [29, 'Illegal seek'],
  EROFS: [30, 'Read-only file system'],
  EDOM: [33, 'Numerical argument out of domain'],
  ERANGE: [34, 'Numerical result out of range'],
  ENAMETOOLONG: [36, 'File name too long'],
  ENOSYS: [38, 'Function not implemented'],
  ENOTEMPTY: [39, 'Directory not empty'],
  ELOOP: [40, 'Too many levels of symbolic links'],
  EBADE: [52, 'Invalid exchange'],
  ENODATA: [61, 'No data available'],
  ETIME: [62, 'Timer expired'],
  ENOLINK: [67, 'Link has been severed'],
  EOVERFLOW: [75, 'Value too large for defined data type'],
  EREMCHG: [78, 'Remote address changed'],
  EILSEQ: [84, 'Invalid or incomplete multibyte or wide character'],
  EOPNOTSUPP: [95, 'Operation not supported'],
  ETOOMANYREFS: [109, 'Too many references: cannot splice'],
  ETIMEDOUT: [110, 'Connection timed out'],
  EREMOTEIO: [121, 'Remote I/O error'],
} as const satisfies Record<string, readonly [number, string]>;

/** The name of an errno, such as `EINVAL`. */
export type ErrnoName = keyof typeof ERRNOS;

/** The number of an errno: positive, as in user space. */
export function errnoNumber(name: ErrnoName): number {
  return ERRNOS[name][0];
}

/** What strerror(3) says of it. */
export function strerror(name: ErrnoName): string {
  return ERRNOS[name][1];
}

/**
 * A request that would be granted where another was refused, as the code knows it that refused; a tool says it in its own words.
 * Of several fields, whoever asked takes the first that it can say.
 */
export interface NearestRequest {
  /** What to write in place of what was written. */
  readonly value?: string | number;
  /** The same for a namespace or device of so many bytes. */
  readonly sizeBytes?: number;
  /** The same with pages of so many bytes. */
  readonly align?: number;
  /** The same at this physical address. */
  readonly start?: number;
  /** A console line that makes the same request succeed. */
  readonly first?: string;
  /** A console line in place of the request. */
  readonly instead?: string;
}

export interface KernelErrorOptions extends ErrorOptions {
  /** Each would do by itself; without them, those of a KernelError that is the cause. */
  readonly nearest?: readonly NearestRequest[];
}

/**
 * A request the kernel refuses.
 * `code` is the errno's name, `errno` its positive number, `message` a sentence that says what was asked, where, and what was expected: the
 * rule that fired. `nearest` are the nearest requests that would succeed, where the code that refuses knows any.
 */
export class KernelError extends Error {
  readonly code: ErrnoName;
  readonly errno: number;
  readonly nearest: readonly NearestRequest[];

  constructor(code: ErrnoName, message: string, options: KernelErrorOptions = {}) {
    super(message, options);
    this.name = 'KernelError';
    this.code = code;
    this.errno = errnoNumber(code);
    this.nearest = options.nearest ?? (options.cause instanceof KernelError ? options.cause.nearest : []);
  }
}

/** Holdfast's own invariant broke. Never caught: the simulator is wrong, not its user. */
export class BugError extends Error {
  constructor(message: string) {
    super(`BUG: ${message}`);
    this.name = 'BugError';
  }
}

/** Throw a {@link BugError} if the condition holds (BUG_ON). */
export function bugOn(condition: boolean, message: string): void {
  if (condition) throw new BugError(message);
}

/** The simulated kernel stopped: Linux would print `Kernel panic - not syncing: …` and hang. */
export class KernelPanic extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'KernelPanic';
  }
}
