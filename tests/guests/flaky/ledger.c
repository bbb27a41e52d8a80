#include "exchange.h"

static void settle(struct account *buyer, struct account *seller, uint32_t quantity, int32_t price) {
    int64_t amount = (int64_t)quantity * price;
    buyer->position += quantity;
    buyer->cash -= amount;
    buyer->trades++;
    seller->position -= quantity;
    seller->cash += amount;
    seller->trades++;
}

/* Trades happen at the price of the order that was there first. */
void ledger_on_trade(const struct order *maker, const struct order *taker, uint32_t quantity, void *context) {
    struct ledger *ledger = context;
    struct account *first = &ledger->accounts[maker->trader];
    struct account *second = &ledger->accounts[taker->trader];
    if (maker->side == BUY)
        settle(first, second, quantity, maker->price);
    else
        settle(second, first, quantity, maker->price);
}
