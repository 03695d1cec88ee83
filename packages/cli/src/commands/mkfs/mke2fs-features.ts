/** Feature lists of mke2fs -O: `extent`, `^has_journal`, `none`. Names are those of lib/e2p/feature.c. */
import type { Features } from '@holdfast/fs';

const NAMES: Readonly<Record<string, readonly [set: keyof Features, bit: number]>> = {
  has_journal: ['compat', 0x4], ext_attr: ['compat', 0x8], resize_inode: ['compat', 0x10], dir_index: ['compat', 0x20],
  filetype: ['incompat', 0x2], extent: ['incompat', 0x40], extents: ['incompat', 0x40], '64bit': ['incompat', 0x80], flex_bg: ['incompat', 0x200],
  large_dir: ['incompat', 0x4000], inline_data: ['incompat', 0x8000], encrypt: ['incompat', 0x10000],
  sparse_super: ['roCompat', 0x1], large_file: ['roCompat', 0x2], huge_file: ['roCompat', 0x8], dir_nlink: ['roCompat', 0x20], extra_isize: ['roCompat', 0x40],
  metadata_csum: ['roCompat', 0x400], verity: ['roCompat', 0x8000],
};

/** What mke2fs makes, and is not made here. */
const NOT_HERE = [
  'sparse_super2', 'fast_commit', 'stable_inodes', 'orphan_file', 'meta_bg', 'mmp', 'ea_inode', 'metadata_csum_seed', 'casefold', 'uninit_bg',
  'bigalloc', 'quota', 'project', 'journal_dev', 'read-only', 'shared_blocks',
];

/** Apply a list to features; `refuse` is called with what mke2fs prints. */
export function editFeatures(start: Features, list: string, refuse: (line: string) => never): Features {
  const features = { ...start };
  for (const word of list.split(',').filter((part) => part !== '')) {
    if (word === 'none') {
      Object.assign(features, { compat: 0, incompat: 0, roCompat: 0 });
      continue;
    }
    const isOff = word.startsWith('^');
    const name = isOff ? word.slice(1) : word;
    if (NOT_HERE.includes(name)) {
      if (isOff) continue;
      refuse(`mke2fs: the feature ${name} is not made here`);
    }
    const known = Object.hasOwn(NAMES, name) ? NAMES[name]! : refuse(`Invalid filesystem option set: ${list}`);
    const [set, bit] = known;
    features[set] = isOff ? features[set] & ~bit : features[set] | bit;
  }
  return features;
}

/** The names of features that are set, as dumpe2fs lists them: compatible ones, incompatible ones, then those that forbid to write; by bit. */
export function featureNames(features: Features): string[] {
  const names = Object.entries(NAMES).filter(([name]) => name !== 'extents');
  return (['compat', 'incompat', 'roCompat'] as const).flatMap((set) => bitsOf(features[set]).map((bit) => {
    const known = names.find(([, [of, its]]) => of === set && its === bit)?.[0];
    return known ?? OTHERS[set][bit] ?? `FEATURE_${{ compat: 'C', incompat: 'I', roCompat: 'R' }[set]}${Math.log2(bit)}`;
  }));
}

/** Features that others may have set. */
const OTHERS: Readonly<Record<keyof Features, Readonly<Record<number, string>>>> = {
  compat: { 0x1: 'dir_prealloc', 0x200: 'sparse_super2', 0x400: 'fast_commit', 0x800: 'stable_inodes', 0x1000: 'orphan_file' },
  incompat: {
    0x1: 'compression', 0x4: 'needs_recovery', 0x8: 'journal_dev', 0x10: 'meta_bg', 0x100: 'mmp', 0x400: 'ea_inode', 0x1000: 'dirdata',
    0x2000: 'metadata_csum_seed', 0x20000: 'casefold',
  },
  roCompat: {
    0x10: 'uninit_bg', 0x100: 'quota', 0x200: 'bigalloc', 0x800: 'replica', 0x1000: 'read-only', 0x2000: 'project', 0x4000: 'shared_blocks',
    0x10000: 'orphan_present',
  },
};

function bitsOf(word: number): number[] {
  return Array.from({ length: 31 }, (_, index) => 2 ** index).filter((bit) => (word & bit) !== 0);
}
