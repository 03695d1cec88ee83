/*
 * The job of packages/mm's buddy allocator, in plain C, as a measure for it: one zone, 64-byte struct pages with their list pointers in them,
 * a circular list per order and mobility type, the same rules of merging, splitting, head or tail, and taking over. Run by buddy.js.
 *
 *   usage: buddy PAGES SEED WORKLOAD ROUNDS
 *   prints: CHECKSUM OPERATIONS, the checksum of the frames that the last round handed out, operations per second of the fastest one
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_ORDER = 10, NR_ORDERS = 11, PAGEBLOCK_ORDER = 9, BLOCK_PAGES = 512, TYPES = 5, MERGEABLE = 3, MOVABLE = 1, ISOLATE = 4, LRU = 16, RESERVED = 4096 };

struct list { struct list *next, *prev; };

struct page {
	uint64_t flags;
	struct list lru;
	uint64_t mapping, index, private;
	int32_t type, refcount;
	uint64_t memcg;
};
_Static_assert(sizeof(struct page) == 64, "struct page");
enum { BUDDY = ~0x80 };

struct area { struct list list[TYPES]; uint64_t nr_free; };

struct zone {
	struct page *pages;
	uint8_t *block_type;
	struct area area[NR_ORDERS];
	uint64_t nr_pages, free_pages;
};

static struct zone zone;

static void list_insert(struct list *entry, struct list *prev, struct list *next)
{
	next->prev = entry;
	entry->next = next;
	entry->prev = prev;
	prev->next = entry;
}

static void list_remove(struct list *entry)
{
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
}

static struct page *page_of(struct list *entry) { return (struct page *)((char *)entry - offsetof(struct page, lru)); }

static void add_head(struct page *page, int order, int type)
{
	struct list *head = &zone.area[order].list[type];
	page->type = BUDDY;
	page->private = order;
	list_insert(&page->lru, head, head->next);
	zone.area[order].nr_free++;
}

static void add_tail(struct page *page, int order, int type)
{
	struct list *head = &zone.area[order].list[type];
	page->type = BUDDY;
	page->private = order;
	list_insert(&page->lru, head->prev, head);
	zone.area[order].nr_free++;
}

static void del(struct page *page, int order)
{
	list_remove(&page->lru);
	page->lru.next = (struct list *)0xdead000000000100;
	page->lru.prev = (struct list *)0xdead000000000122;
	page->private = 0;
	page->type = -1;
	zone.area[order].nr_free--;
}

static void move_tail(struct page *page, int order, int type)
{
	struct list *head = &zone.area[order].list[type];
	list_remove(&page->lru);
	list_insert(&page->lru, head->prev, head);
}

static int block_type(uint64_t pfn) { return zone.block_type[pfn >> PAGEBLOCK_ORDER]; }

static int is_free(uint64_t pfn, int order)
{
	struct page *page = zone.pages + pfn;
	return pfn < zone.nr_pages && page->type == BUDDY && page->private == (uint64_t)order;
}

/* --- free --- */

static void free_one_page(uint64_t pfn, int order, int to_tail)
{
	int type = block_type(pfn);

	if (type != ISOLATE)
		zone.free_pages += 1ul << order;
	while (order < MAX_ORDER) {
		uint64_t buddy = pfn ^ (1ul << order);
		if (!is_free(buddy, order))
			break;
		if (order >= PAGEBLOCK_ORDER) {
			int other = block_type(buddy);
			if (type != other && (type >= MERGEABLE || other >= MERGEABLE))
				break;
		}
		del(zone.pages + buddy, order);
		pfn &= buddy;
		order++;
	}
	if (!to_tail && order < MAX_ORDER - 1) {
		uint64_t parent = pfn & ~(1ul << order);
		to_tail = is_free(parent ^ (2ul << order), order + 1);
	}
	if (to_tail)
		add_tail(zone.pages + pfn, order, type);
	else
		add_head(zone.pages + pfn, order, type);
}

static void put_block(uint64_t pfn, int order)
{
	struct page *page = zone.pages + pfn;

	if (page->refcount <= 0 || (page->flags & RESERVED))
		abort();
	if (--page->refcount == 0)
		free_one_page(pfn, order, 0);
}

/* --- allocate --- */

static const int fallbacks[3][2] = { { 2, 1 }, { 2, 0 }, { 0, 1 } };

static struct page *rmqueue_smallest(int order, int type)
{
	for (int current = order; current <= MAX_ORDER; current++) {
		struct list *head = &zone.area[current].list[type];
		if (head->next == head)
			continue;
		struct page *page = page_of(head->next);
		del(page, current);
		while (current > order) {
			current--;
			add_head(page + (1ul << current), current, type);
		}
		return page;
	}
	return NULL;
}

static int find_fallback(int order, int type)
{
	if (zone.area[order].nr_free == 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		struct list *head = &zone.area[order].list[fallbacks[type][i]];
		if (head->next != head)
			return fallbacks[type][i];
	}
	return -1;
}

static int can_steal(int order, int type) { return order >= PAGEBLOCK_ORDER / 2 || type != MOVABLE; }

static void steal_block(int order, int from, int type)
{
	struct page *page = page_of(zone.area[order].list[from].next);
	uint64_t pfn = page - zone.pages;
	int old = block_type(pfn);

	if (order >= PAGEBLOCK_ORDER) {
		memset(zone.block_type + (pfn >> PAGEBLOCK_ORDER), type, 1ul << (order - PAGEBLOCK_ORDER));
	} else if (can_steal(order, type)) {
		uint64_t first = pfn & -(uint64_t)BLOCK_PAGES, moved = 0, movable = 0, alike = 0;
		for (uint64_t at = first; at < first + BLOCK_PAGES;) {
			struct page *p = zone.pages + at;
			if (p->type == BUDDY) {
				int o = p->private;
				move_tail(p, o, type);
				moved += 1ul << o;
				at += 1ul << o;
			} else {
				movable += (p->flags & LRU) != 0;
				at++;
			}
		}
		if (type == MOVABLE)
			alike = movable;
		else if (old == MOVABLE)
			alike = BLOCK_PAGES - moved - movable;
		if (moved + alike >= BLOCK_PAGES / 2)
			zone.block_type[pfn >> PAGEBLOCK_ORDER] = type;
		return;
	}
	move_tail(page, order, type);
}

static int steal_fallback(int order, int type)
{
	for (int current = MAX_ORDER; current >= order; current--) {
		int from = find_fallback(current, type);
		if (from < 0)
			continue;
		if (!can_steal(current, type) && type == MOVABLE && current > order)
			for (current = order; (from = find_fallback(current, type)) < 0;)
				current++;
		steal_block(current, from, type);
		return 1;
	}
	return 0;
}

static int64_t alloc_block(int order, int type)
{
	struct page *page;

	while (!(page = rmqueue_smallest(order, type)))
		if (!steal_fallback(order, type))
			return -1;
	page->refcount = 1;
	zone.free_pages -= 1ul << order;
	return page - zone.pages;
}

/* --- the workloads: the same as in buddy.js, line by line --- */

enum { OPERATIONS = 1 << 22 };

static const struct workload { const char *name; int batch, slots_per_256_pages, slots, orders, geometric, types; } workloads[] = {
	{ "stack", 1, 0, 1024, 0, 0, 0 },
	{ "fill", 1, 128, 0, 0, 0, 0 },
	{ "random", 0, 256, 0, 1, 0, 1 },
	{ "small", 0, 64, 0, 11, 1, 3 },
	{ "mixed", 0, 1, 0, 11, 0, 3 },
};

static uint32_t seed;

static uint32_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

/* Take `nr` blocks and give them back, in order, again and again. */
static void run_batches(int32_t *slots, int nr)
{
	for (int done = 0; done < OPERATIONS; done += 2 * nr) {
		for (int i = 0; i < nr; i++)
			slots[i] = alloc_block(0, MOVABLE);
		for (int i = 0; i < nr; i++)
			put_block(slots[i], 0);
	}
}

/* An operation at random: its slot; from bit 24 on the order; from bit 28 on the type; in bit 31, whether the slot's block is given back. */
static int draw_operations(const struct workload *w, uint32_t slots, int32_t *operations)
{
	int32_t *taken = calloc(slots, 4);
	int n = 0;

	while (n < OPERATIONS) {
		uint32_t slot = rnd() % slots;
		if (taken[slot]) {
			operations[n++] = taken[slot] | 1u << 31;
			taken[slot] = 0;
			continue;
		}
		uint32_t dice = rnd();
		int order = w->geometric ? __builtin_clz(dice | 1) : (dice >> 8) % w->orders;
		if (order > w->orders - 1)
			order = w->orders - 1;
		int type = w->types == 1 ? MOVABLE : (dice >> 1) % w->types;
		operations[n++] = taken[slot] = slot | order << 24 | (type + 4) << 28;
	}
	for (uint32_t slot = 0; slot < slots; slot++)
		if (taken[slot])
			operations[n++] = taken[slot] | 1u << 31;
	free(taken);
	return n;
}

/* Run them all; `frames` gets the frame that each one took. */
static void run_operations(int32_t *slots, const int32_t *operations, int nr, int32_t *frames)
{
	for (int i = 0; i < nr; i++) {
		int32_t operation = operations[i];
		int slot = operation & 0xffffff;
		int order = operation >> 24 & 15;
		if (operation < 0)
			put_block(slots[slot], order);
		else
			frames[i] = slots[slot] = alloc_block(order, operation >> 28 & 3);
	}
}

static uint32_t checksum(const int32_t *frames, int nr)
{
	uint32_t sum = 0;
	for (int i = 0; i < nr; i++)
		sum = sum * 31 + (uint32_t)frames[i];
	return sum;
}

static void boot(uint64_t nr_pages)
{
	zone.nr_pages = nr_pages;
	zone.pages = aligned_alloc(1 << 21, nr_pages * sizeof(struct page));
	zone.block_type = malloc(nr_pages >> PAGEBLOCK_ORDER);
	memset(zone.pages, 0, nr_pages * sizeof(struct page));
	memset(zone.block_type, MOVABLE, nr_pages >> PAGEBLOCK_ORDER);
	for (int order = 0; order < NR_ORDERS; order++)
		for (int type = 0; type < TYPES; type++)
			zone.area[order].list[type].next = zone.area[order].list[type].prev = &zone.area[order].list[type];
	for (uint64_t pfn = 0; pfn < nr_pages; pfn++)
		zone.pages[pfn].type = -1;
	for (uint64_t pfn = 0; pfn < nr_pages; pfn += 1 << MAX_ORDER)
		free_one_page(pfn, MAX_ORDER, 1);
}

int main(int argc, char **argv)
{
	const struct workload *w = workloads, *end = workloads + sizeof(workloads) / sizeof(*workloads);

	if (argc != 5)
		return 2;
	while (w < end && strcmp(w->name, argv[3]))
		w++;
	if (w == end)
		return 2;
	uint64_t nr_pages = strtoull(argv[1], NULL, 10);
	uint32_t nr_slots = w->slots ? w->slots : nr_pages / 256 * w->slots_per_256_pages;
	int32_t *operations = malloc((OPERATIONS + nr_slots) * 4);
	int rounds = atoi(argv[4]);
	double best = 1e9;

	seed = atoi(argv[2]);
	boot(nr_pages);
	int nr = w->batch ? OPERATIONS : draw_operations(w, nr_slots, operations);
	int32_t *slots = calloc(nr_slots, 4), *frames = w->batch ? slots : calloc(nr, 4);
	for (int round = 0; round < rounds; round++) {
		struct timespec from, to;
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (w->batch)
			run_batches(slots, nr_slots);
		else
			run_operations(slots, operations, nr, frames);
		clock_gettime(CLOCK_MONOTONIC, &to);
		double seconds = (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9;
		if (seconds < best)
			best = seconds;
	}
	printf("%u %.0f\n", checksum(frames, w->batch ? nr_slots : nr), nr / best);
	return 0;
}
