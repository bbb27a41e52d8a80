#include "exchange.h"

#include <stdio.h>
#include <stdlib.h>

#define AUDIT_EVERY 50
#define OPENING_PRICE 10000
#define TICK_SIZE 5

static void trade_day(struct book *book, struct ledger *ledger, struct feed *feed, int orders) {
    for (int i = 0; i < orders; i++) {
        struct order *order = book_new_order(book);
        uint64_t now = now_micros();
        feed_fill(feed, book, order, now);
        latency_record(book->latency, (uint32_t)(now - order->sent_micros));
        book_submit(book, order, ledger_on_trade, ledger);
        if ((i + 1) % AUDIT_EVERY == 0) {
            audit_book(book);
            audit_ledger(ledger);
        }
    }
}

static void report(const struct book *book, const struct ledger *ledger) {
    printf("%s: %u trades, volume %llu, %zu bid and %zu ask levels\n", book->symbol, book->trades,
           (unsigned long long)book->volume, book_depth(book, BUY), book_depth(book, SELL));
    printf("latency: 50%% within %u us, 99%% within %u us, worst %u us\n", latency_percentile(book->latency, 50),
           latency_percentile(book->latency, 99), book->latency->worst_micros);
    for (int i = 0; i < TRADERS; i++)
        printf("trader %2d: position %6lld, cash %9lld, %u trades\n", i, (long long)ledger->accounts[i].position,
               (long long)ledger->accounts[i].cash, ledger->accounts[i].trades);
}

int main(int argc, char **argv) {
    int orders = argc > 1 ? atoi(argv[1]) : 400;
    struct arena arena;
    struct feed feed;
    struct ledger ledger = {0};
    arena_init(&arena, 256 * 1024);
    feed_init(&feed, OPENING_PRICE);
    struct book *book = book_new(&arena, "TTD", TICK_SIZE, OPENING_PRICE);
    trade_day(book, &ledger, &feed, orders);
    report(book, &ledger);
    return 0;
}
