/* A small matching engine: random orders arrive, are matched against a book, and the books are audited.
   It is wrong: about one run in ten fails its audit. Finding out why is the exercise. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

/* ---- arena.c: every long-lived object lives in one arena ---- */

struct arena {
    unsigned char *base;
    size_t size;
    size_t used;
};

void arena_init(struct arena *arena, size_t size);
void *arena_alloc(struct arena *arena, size_t size);

/* ---- rng.c: pseudo-random numbers, seeded by the system ---- */

struct rng {
    uint64_t state[2];
};

void rng_seed(struct rng *rng);
uint64_t rng_next(struct rng *rng);
uint32_t rng_below(struct rng *rng, uint32_t bound);

/* ---- latency.c: how long orders spend on the wire ---- */

#define LATENCY_SLOTS 16
#define LATENCY_SLOT_MICROS 20

struct latency {
    uint32_t samples;
    uint32_t worst_micros;
    uint32_t slot[LATENCY_SLOTS];
};

struct latency *latency_new(struct arena *arena);
void latency_record(struct latency *latency, uint32_t micros);
uint32_t latency_percentile(const struct latency *latency, unsigned percent);

/* ---- book.c: price levels and the orders that rest on them ---- */

enum side { BUY, SELL };

struct order {
    uint32_t id;
    uint32_t trader;
    enum side side;
    int32_t price;
    uint32_t quantity;
    uint64_t sent_micros;
    struct order *next;
};

struct level {
    int32_t price;
    uint32_t open_quantity;
    struct order *first;
    struct order *last;
    struct level *next;
};

struct book {
    char symbol[8];
    int32_t tick_size;
    struct level *levels[2]; /* by side, best price first */
    struct order *free_orders;
    struct latency *latency;
    struct arena *arena;
    uint32_t trades;
    uint64_t volume;
};

typedef void (*trade_handler)(const struct order *maker, const struct order *taker, uint32_t quantity, void *context);

struct book *book_new(struct arena *arena, const char *symbol, int32_t tick_size, int32_t opening_price);
struct order *book_new_order(struct book *book);
void book_submit(struct book *book, struct order *order, trade_handler on_trade, void *context);
size_t book_depth(const struct book *book, enum side side);

/* ---- ledger.c: what each trader holds ---- */

#define TRADERS 12

struct account {
    int64_t position;
    int64_t cash;
    uint32_t trades;
};

struct ledger {
    struct account accounts[TRADERS];
};

void ledger_on_trade(const struct order *maker, const struct order *taker, uint32_t quantity, void *context);

/* ---- feed.c: the orders of the day ---- */

struct feed {
    struct rng rng;
    uint32_t next_id;
    int32_t middle;
};

uint64_t now_micros(void);
void feed_init(struct feed *feed, int32_t middle);
void feed_fill(struct feed *feed, const struct book *book, struct order *order, uint64_t now);

/* ---- audit.c: does everything still add up? ---- */

void audit_book(const struct book *book);
void audit_ledger(const struct ledger *ledger);

#endif
