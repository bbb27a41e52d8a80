#include "exchange.h"

#include <time.h>

#define RETRANSMIT_MICROS 40

uint64_t now_micros(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void feed_init(struct feed *feed, int32_t middle) {
    rng_seed(&feed->rng);
    feed->middle = middle;
    feed->next_id = 1;
}

/* Most packets take tens of microseconds; some are lost and sent again, and the clock decides how late. */
static uint32_t wire_delay(struct feed *feed, uint64_t now) {
    uint32_t delay = 20 + rng_below(&feed->rng, 60);
    while (rng_below(&feed->rng, 5) == 0)
        delay += RETRANSMIT_MICROS + (uint32_t)((now ^ rng_next(&feed->rng)) % 32);
    return delay;
}

void feed_fill(struct feed *feed, const struct book *book, struct order *order, uint64_t now) {
    int32_t drift = (int32_t)rng_below(&feed->rng, 3) - 1;
    feed->middle += drift * book->tick_size;
    order->id = feed->next_id++;
    order->trader = rng_below(&feed->rng, TRADERS);
    order->side = rng_below(&feed->rng, 2) == 0 ? BUY : SELL;
    int32_t away = (int32_t)rng_below(&feed->rng, 12) - 3;
    order->price = feed->middle + (order->side == BUY ? -away : away) * book->tick_size;
    order->quantity = 1 + rng_below(&feed->rng, 100);
    order->sent_micros = now - wire_delay(feed, now);
}
