/**
 * Small numbers handed out to things that need a name: the lowest free one each time. Mirrors lib/idr.c: ida_alloc, ida_free.
 */
export interface Ida {
  /** Take the lowest free id. */
  alloc(): number;
  /** Give an id back; one that is not taken is ignored. */
  free(id: number): void;
}

export function createIda(): Ida {
  const taken = new Set<number>();
  return {
    alloc() {
      let id = 0;
      while (taken.has(id)) id++;
      taken.add(id);
      return id;
    },
    free: (id) => void taken.delete(id),
  };
}
