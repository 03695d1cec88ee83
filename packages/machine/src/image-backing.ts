/**
 * What keeps the bytes of a non-volatile medium when the simulator itself is gone: raw bytes, byte i of the image being byte i of
 * the medium, so that the same file serves QEMU as `mem-path`. Declared here; `@holdfast/machine/node` implements it for files.
 */
export interface ImageBacking {
  readonly sizeBytes: number;
  /** Is `[offset, offset + length)` known to be zeros without reading it, as a hole is? False means "read and see". */
  isKnownZero(offset: number, length: number): boolean;
  /** Fill `target[targetOffset, targetOffset + length)` from the image. @throws KernelError EIO */
  read(offset: number, target: Uint8Array, targetOffset: number, length: number): void;
  /** Returns when the bytes would survive the death of this process. @throws KernelError EIO, ENOSPC */
  write(offset: number, source: Uint8Array, sourceOffset: number, length: number): void;
}

/** What a store held when it was frozen. */
export interface FrozenImage extends ImageBacking {
  /** Nobody reads it any more: give its memory back. */
  release(): void;
}
