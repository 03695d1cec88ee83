/**
 * From what the host's file system says to an errno of ours, with the file and what was being done to it.
 */
import { type ErrnoName, KernelError, strerror } from '@holdfast/lib';

const KNOWN: readonly ErrnoName[] = [
  'EACCES', 'EBUSY', 'EEXIST', 'EFBIG', 'EINVAL', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'ENOENT', 'ENOSPC', 'ENOTDIR', 'EPERM', 'EROFS',
];

/** The host error as a KernelError; what is none of {@link KNOWN} is EIO. */
export function hostError(path: string, doing: string, cause: unknown): KernelError {
  if (cause instanceof KernelError) return cause;
  const code = hostErrno(cause);
  const errno = KNOWN.find((name) => name === code) ?? 'EIO';
  return new KernelError(errno, `image ${path}: ${strerror(errno)} while ${doing}`, { cause });
}

/** The errno's name in an error of Node's, if it has one. */
export function hostErrno(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
