/**
 * The two lists of a node's cached pages: those used once, and those used again. Mirrors mm/swap.c: folio_add_lru, folio_mark_accessed.
 *
 * Invariant: a folio is in exactly one list of its node while it is cached, and PG_lru and PG_active say which.
 * Differs from Linux: the multi-gen LRU is off, as it is unless asked for.
 */
import type { NodeId } from '@holdfast/lib';
import { type Folio, folioClear, folioSet, folioTest } from './address-space.js';
import type { PageCache } from './page-cache.js';
import { PG, flagsNode } from './page-flags.js';
import { PAGE_FLAGS_HI } from './page.js';

/** A list through {@link Folio.newer} and {@link Folio.older}. */
export interface LruList {
  newest: Folio | undefined;
  oldest: Folio | undefined;
  size: number;
}

export interface Lruvec {
  readonly active: LruList;
  readonly inactive: LruList;
}

export function lruvecOf(cache: PageCache, nid: NodeId): Lruvec {
  let vec = cache.lru.get(nid);
  if (vec === undefined) cache.lru.set(nid, (vec = { active: emptyList(), inactive: emptyList() }));
  return vec;
}

/** A new page starts as one that was used once. */
export function folioAddLru(folio: Folio): void {
  folioSet(folio, PG.lru);
  lruPush(vecOf(folio).inactive, folio);
}

export function folioDelLru(folio: Folio): void {
  const vec = vecOf(folio);
  lruUnlink(folioTest(folio, PG.active) ? vec.active : vec.inactive, folio);
  folioClear(folio, PG.lru);
  folioClear(folio, PG.active);
  folioClear(folio, PG.referenced);
}

/** Somebody used the page: the second time makes it active. */
export function folioMarkAccessed(folio: Folio): void {
  if (!folioTest(folio, PG.referenced)) return folioSet(folio, PG.referenced);
  if (!folioTest(folio, PG.active)) folioActivate(folio);
}

/** From the list of pages used once to that of pages used again. */
export function folioActivate(folio: Folio): void {
  const vec = vecOf(folio);
  lruUnlink(vec.inactive, folio);
  folioSet(folio, PG.active);
  folioClear(folio, PG.referenced);
  lruPush(vec.active, folio);
}

function vecOf({ mapping, words, at }: Folio): Lruvec {
  return lruvecOf(mapping.cache, flagsNode(words[at + PAGE_FLAGS_HI]!) as NodeId);
}

function emptyList(): LruList {
  return { newest: undefined, oldest: undefined, size: 0 };
}

/** Make a page the newest of a list. */
export function lruPush(list: LruList, folio: Folio): void {
  folio.newer = undefined;
  folio.older = list.newest;
  if (list.newest) list.newest.newer = folio;
  else list.oldest = folio;
  list.newest = folio;
  list.size++;
}

export function lruUnlink(list: LruList, folio: Folio): void {
  if (folio.newer) folio.newer.older = folio.older;
  else list.newest = folio.older;
  if (folio.older) folio.older.newer = folio.newer;
  else list.oldest = folio.newer;
  folio.newer = folio.older = undefined;
  list.size--;
}
