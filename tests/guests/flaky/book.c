#include "exchange.h"

#include <string.h>

/* Is price `a` better than price `b` for somebody resting on `side`? */
static int better(enum side side, int32_t a, int32_t b) {
    return side == BUY ? a > b : a < b;
}

static struct level *level_for(struct book *book, enum side side, int32_t price) {
    struct level **link = &book->levels[side];
    while (*link != NULL && better(side, (*link)->price, price))
        link = &(*link)->next;
    if (*link != NULL && (*link)->price == price)
        return *link;
    struct level *level = arena_alloc(book->arena, sizeof *level);
    level->price = price; /* @level-created */
    level->next = *link;
    *link = level;
    return level;
}

struct book *book_new(struct arena *arena, const char *symbol, int32_t tick_size, int32_t opening_price) {
    struct book *book = arena_alloc(arena, sizeof *book);
    strncpy(book->symbol, symbol, sizeof book->symbol - 1);
    book->tick_size = tick_size;
    book->arena = arena;
    book->latency = latency_new(arena);
    level_for(book, BUY, opening_price);
    level_for(book, SELL, opening_price + tick_size);
    return book;
}

struct order *book_new_order(struct book *book) {
    struct order *order = book->free_orders;
    if (order == NULL)
        return arena_alloc(book->arena, sizeof *order);
    book->free_orders = order->next;
    memset(order, 0, sizeof *order);
    return order;
}

static void release_order(struct book *book, struct order *order) {
    order->next = book->free_orders;
    book->free_orders = order;
}

static void rest(struct book *book, struct order *order) {
    struct level *level = level_for(book, order->side, order->price);
    order->next = NULL;
    if (level->last != NULL)
        level->last->next = order;
    else
        level->first = order;
    level->last = order;
    level->open_quantity += order->quantity;
}

static void fill(struct book *book, struct level *level, struct order *taker, trade_handler on_trade, void *context) {
    struct order *maker = level->first;
    uint32_t quantity = maker->quantity < taker->quantity ? maker->quantity : taker->quantity;
    maker->quantity -= quantity;
    taker->quantity -= quantity;
    level->open_quantity -= quantity;
    book->trades++;
    book->volume += quantity;
    on_trade(maker, taker, quantity, context); /* @trade */
    if (maker->quantity == 0) {
        level->first = maker->next;
        if (level->first == NULL)
            level->last = NULL;
        release_order(book, maker);
    }
}

/* Empty levels stay in the list: the next order at that price will want them. */
static struct level *best_level(struct book *book, enum side side) {
    struct level *level = book->levels[side];
    while (level != NULL && level->first == NULL)
        level = level->next;
    return level;
}

void book_submit(struct book *book, struct order *order, trade_handler on_trade, void *context) {
    enum side other = order->side == BUY ? SELL : BUY;
    while (order->quantity > 0) {
        struct level *level = best_level(book, other);
        if (level == NULL || better(other, order->price, level->price))
            break;
        fill(book, level, order, on_trade, context);
    }
    if (order->quantity > 0)
        rest(book, order);
    else
        release_order(book, order);
}

size_t book_depth(const struct book *book, enum side side) {
    size_t depth = 0;
    for (const struct level *level = book->levels[side]; level != NULL; level = level->next)
        depth += level->first != NULL;
    return depth;
}
