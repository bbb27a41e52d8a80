/* Short lives of many variables: optimisation gives them the same few places, one after the other. */
#define APART static __attribute__((noinline))

struct pair { int low, high; };
struct node { struct node *next; int key; };

volatile int sink;

APART unsigned mix(const unsigned char *text, int length) {
    unsigned hash = 17;
    for (int at = 0; at < length; at++) {
        unsigned letter = text[at];
        unsigned turned = hash << 5 | hash >> 27;
        hash = turned ^ letter * 31; /* @begin */
    }
    unsigned folded = hash ^ hash >> 16;
    sink = (int)folded;
    return folded * 9;
}

APART struct pair bounds(const int *numbers, int count) {
    struct pair found = {numbers[0], numbers[0]};
    for (const int *number = numbers; number < numbers + count; number++) {
        int value = *number;
        if (value < found.low) found.low = value;
        if (value > found.high) found.high = value;
    }
    sink = found.high;
    return found;
}

APART int lookup(struct node *list, int key) {
    int steps = 0;
    struct node *previous = 0;
    for (struct node *here = list; here; here = here->next) {
        if (here->key == key) {
            if (previous) {
                struct node *behind = here->next;
                previous->next = behind;
                here->next = list;
            }
            return steps;
        }
        previous = here;
        steps++;
    }
    return -1;
}

APART long long power(int base, int exponent) {
    long long result = 1, square = base;
    while (exponent) {
        int bit = exponent & 1;
        if (bit) result *= square;
        square *= square;
        exponent >>= 1;
        sink = bit;
    }
    return result;
}

APART int choose(int kind, int first, int second) {
    int result;
    switch (kind) {
    case 0: { int sum = first + second; sink = sum; result = sum * 3; break; }
    case 1: { int product = first * second; sink = product; result = product - first; break; }
    case 2: { int quotient = first / (second | 1); int rest = first % (second | 1); sink = rest; result = quotient + rest; break; }
    default: { int most = first > second ? first : second; sink = most; result = -most; }
    }
    sink = result;
    return result + kind;
}

int main(int argc, char **argv) {
    (void)argv;
    int numbers[6] = {argc + 4, 7 - argc, argc * 9, -argc, 3, argc << 4};
    struct node nodes[4] = {{&nodes[1], 5}, {&nodes[2], 6}, {&nodes[3], 7}, {0, 8}};
    unsigned hash = mix((const unsigned char *)"register", 7 + argc);
    struct pair ends = bounds(numbers, 6);
    int steps = lookup(nodes, 6 + argc);
    long long raised = power(argc + 2, 5);
    int total = ends.low + ends.high + steps + (int)raised + (int)(hash & 7);
    for (int kind = 0; kind < 4; kind++)
        total += choose(kind, ends.high - kind, argc + kind);
    sink = total; /* @total */
    return total & 63;
}
