/**
 * Mobility types: why a page cannot move, and whose memory to take when the own type has run out.
 * Mirrors enum migratetype, migratetype_names and fallbacks[] of 6.1 (CONFIG_MEMORY_ISOLATION, no CMA).
 */
export const MIGRATE_UNMOVABLE = 0;
export const MIGRATE_MOVABLE = 1;
export const MIGRATE_RECLAIMABLE = 2;
export const MIGRATE_HIGHATOMIC = 3;
export const MIGRATE_ISOLATE = 4;
export const MIGRATE_TYPES = 5;
/** Types below this one are handed out, fall back to each other, and merge (migratetype_is_mergeable). */
export const MIGRATE_PCPTYPES = 3;

export type MigrateType = 0 | 1 | 2 | 3 | 4;

/** As /proc/pagetypeinfo spells them. */
export const MIGRATETYPE_NAMES = ['Unmovable', 'Movable', 'Reclaimable', 'HighAtomic', 'Isolate'] as const;

/** For each type that is handed out: whose blocks to take next, in order. */
export const MIGRATE_FALLBACKS: readonly (readonly MigrateType[])[] = [
  [MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE],
  [MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE],
  [MIGRATE_UNMOVABLE, MIGRATE_MOVABLE],
];
