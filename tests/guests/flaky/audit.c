#include "exchange.h"

#include <stdio.h>
#include <stdlib.h>

static void fail(const struct book *book, const struct level *level, const char *what) {
    fprintf(stderr, "exchange: audit of %s failed: level %d: %s\n", book->symbol, level->price, what);
    abort();
}

static void audit_level(const struct book *book, const struct level *level) {
    uint32_t quantity = 0;
    for (const struct order *order = level->first; order != NULL; order = order->next)
        quantity += order->quantity;
    if (quantity != level->open_quantity)
        fail(book, level, "open quantity is not the sum of its orders");
    if (level->price % book->tick_size != 0)
        fail(book, level, "price is not a multiple of the tick size"); /* @price */
}

void audit_book(const struct book *book) {
    for (int side = BUY; side <= SELL; side++)
        for (const struct level *level = book->levels[side]; level != NULL; level = level->next)
            audit_level(book, level);
}

void audit_ledger(const struct ledger *ledger) {
    int64_t position = 0;
    int64_t cash = 0;
    for (int i = 0; i < TRADERS; i++) {
        position += ledger->accounts[i].position;
        cash += ledger->accounts[i].cash;
    }
    if (position != 0 || cash != 0) {
        fprintf(stderr, "exchange: ledger does not balance: position %lld, cash %lld\n", (long long)position, (long long)cash);
        abort();
    }
}
