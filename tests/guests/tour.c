/* A tour of what C's functions do with their variables. It looks around at marked places: each calls the host. */

#include <unistd.h>

#define INLINED static inline __attribute__((always_inline))
#define APART static __attribute__((noinline))

enum colour { RED, GREEN = 5, BLUE };
struct point { int x, y; };
struct box { struct point low, high; double weight; };
struct node { long long value; struct node *next; };

static struct node tail = {30, 0}, middle = {20, &tail}, head = {10, &middle};
int sightings;
volatile int sink, zero;

/* A number that the compiler does not know. */
static int hidden(int number) {
    return number + zero;
}

/* What the caller's variables are must not depend on what happens here. */
__attribute__((noinline)) void look(void) {
    sightings++; /* @look */
    write(1, ".", 1);
}

/* --- numbers of all widths, kept across the call --- */

APART long long widths(signed char tiny, unsigned short small, int plain, long long wide, float single, double both) {
    unsigned char byte = (unsigned char)(tiny + 3);
    int sum = tiny + small;
    long long product = wide * plain;
    double ratio = both / 2 + single;
    enum colour colour = plain > 0 ? BLUE : RED;
    _Bool positive = plain > 0;
    look(); /* @widths */
    return product + sum + (long long)ratio + byte + colour + positive;
}

/* --- a loop, and what it goes over --- */

APART int loop(const int *numbers, int count) {
    int total = 0, largest = numbers[0];
    for (int i = 0; i < count; i++) {
        int number = numbers[i];
        total += number;
        if (number > largest)
            largest = number;
        look(); /* @loop */
    }
    look(); /* @looped */
    return total * largest;
}

/* --- aggregates by value: split up when optimised --- */

INLINED int area(struct point size) {
    int result = size.x * size.y;
    look(); /* @area */
    return result;
}

INLINED int extent(struct box box) {
    struct point size = {box.high.x - box.low.x, box.high.y - box.low.y};
    int inner = area(size); /* @area-call */
    return inner + (int)box.weight;
}

APART int boxes(int offset) {
    struct box box = {{1, 2}, {offset, offset + 1}, 2.5};
    int first = extent(box); /* @first */
    sink = first;
    box.low.x = 3;
    int second = extent(box); /* @second */
    return first - second;
}

/* --- recursion, pointers and what they point at --- */

APART long long chain(const struct node *node, int depth) {
    if (!node) {
        look(); /* @bottom */
        return depth;
    }
    long long value = node->value;
    long long rest = chain(node->next, depth + 1); /* @chain */
    return value + rest;
}

/* --- blocks, namesakes, and what lives only for a while --- */

APART int blocks(int value) {
    static int calls = 7;
    calls++;
    int result = value;
    {
        int value = result * 2; /* another one */
        int result = value + 1;
        look(); /* @inner */
        sink = value + result;
    }
    for (int value = 0; value < 2; value++) {
        int squared = value * value + calls;
        look(); /* @squared */
        sink = squared;
    }
    look(); /* @outer */
    return result + calls;
}

/* --- values that are never in memory, and those that no one needs any more --- */

APART int spent(int used, int once) {
    int before = once * 3;
    sink = before;
    int after = used + 1;
    look(); /* @spent */
    return after;
}

/* --- arrays, and an address that is taken --- */

static void fill(int *places, int count, int *last) {
    for (int i = 0; i < count; i++)
        places[i] = 3 * i;
    *last = places[count - 1];
}

APART int arrays(int count) {
    int places[5] = {0};
    char text[] = "abc";
    int last = -1;
    fill(places, count, &last);
    text[1] = (char)('a' + last);
    look(); /* @arrays */
    return places[2] + last + text[1];
}

/* --- calls through pointers --- */

typedef int operation(int, int);

APART int add(int a, int b) {
    look(); /* @add */
    return a + b;
}

APART int twice(operation *what, int number) {
    int once = what(number, 1); /* @once */
    return what(once, number); /* @again */
}

int main(void) {
    static const int few[] = {3}, some[] = {4, 9, 2};
    signed char tiny = (signed char)hidden(-3);
    unsigned short small = (unsigned short)hidden(40000);
    long long wide = (long long)hidden(1) << 40;
    int total = (int)widths(tiny, small, hidden(7), wide, (float)hidden(1) / 2, hidden(9)); /* @start */
    total += loop(some, hidden(3)); /* @some */
    total += loop(few, hidden(1)); /* @few */
    total += boxes(hidden(6)); /* @boxes */
    total += (int)chain(&head, hidden(0)); /* @head */
    total += blocks(hidden(5)); /* @blocks */
    total += spent(hidden(1), hidden(2)); /* @spend */
    total += arrays(hidden(4)); /* @array */
    total += twice(zero ? 0 : add, hidden(8)); /* @twice */
    look(); /* @end */
    return total == 0;
}
