/* Objects of every kind for the expression evaluator, and expressions whose values the compiler computes. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum suit { CLUBS, DIAMONDS, HEARTS = 10, SPADES };
enum access { READ = 1, WRITE = 2, EXECUTE = 4 };
enum level { LOW = -1, HIGH = 1 };

typedef uint8_t byte_t;
typedef int (*operation_t)(int, int);

struct opaque; /* completed in no unit */

struct packed {
    signed int small : 3;
    unsigned int mid : 7;
    int : 2;
    uint64_t wide : 40;
    _Bool on : 1;
};

struct shape {
    int kind;
    union {
        struct {
            int width, height;
        };
        double radius;
    };
    struct {
        int red, green;
    } paint;
};

struct list {
    int value;
    struct list *next;
    char name[8];
};

struct everything {
    struct shape shape;
    struct packed packed;
    enum suit suit;
    enum access access;
    operation_t operation;
    struct list *list;
    struct opaque *opaque;
    void *anything;
    const char *text;
    char letters[12];
    int matrix[2][3];
    int trailing[];
};

static int add(int a, int b) { return a + b; }
static int subtract(int a, int b) { return a - b; }

int global = 42;
static int64_t big = -9007199254740993;
uint64_t huge = 0xfedcba9876543210u;
const char *const words[] = {"zero", "one", "two"};
int table[6] = {1, 1, 2, 3, 5, 8};
unsigned char bytes[300];
char unterminated[4] = {'f', 'u', 'l', 'l'};
char dirty[10] = "ab\0cd\n\"\\\377";
char utf8[] = "na\303\257ve";
float quarter = 0.25f, tenth = 0.1f;
double third = 1.0 / 3.0, million = 1e6, tiny = 5e-324;
long double wide = 1.5L;
_Bool yes = 1;
short negative = -2;
unsigned short port = 65535;
signed char minus = -1;
wchar_t wide_letter = L'x';

struct list last = {3, 0, "last"};
struct list middle = {2, &last, "middle"};
struct list first = {1, &middle, "first"};
struct list ring = {9, &ring, "ring"};

struct everything all = {
    .shape = {7, {{3, 4}}, {5, 6}},
    .packed = {-2, 100, 0xabcdef1234, 1},
    .suit = SPADES,
    .access = READ | EXECUTE,
    .operation = subtract,
    .list = &first,
    .anything = &global,
    .text = "hello",
    .letters = "letters",
    .matrix = {{1, 2, 3}, {4, 5, 6}},
};

/* What the expressions below are about; the test stops where these have their values. */
#define CASES(E)                                                                                                       \
    E(1 + 2 * 3) E((1 + 2) * 3) E(7 / 2) E(-7 / 2) E(-7 % 3) E(7 % -3) E(1 << 4 | 3) E(0x10 ^ 07) E(~5) E(!0) E(!7)   \
    E(-1 > 0u) E(-1 < 0) E(2147483647 + 0u) E(3000000000) E(0xffffffff) E(0xffffffff + 1) E(0xffffffffll + 1)         \
    E(1 ? 2 : 3) E(0 ? 2 : 3) E(1 && 0 || 1) E(5 & 3 | 8 ^ 1) E('a' + 1) E('\n') E('\377') E('\x41') E(1.5 * 4)       \
    E(1 / 2.0 == 0.5) E(7 > 3 == 1) E(10 - 4 - 3) E(2 * 3 % 4) E(1 << 2 << 3) E(-1 >> 1) E(-1u >> 28) E(5 == 5 != 0)   \
    E(sizeof(int)) E(sizeof(struct list)) E(sizeof all) E(sizeof(char *)) E(sizeof table / sizeof table[0])            \
    E(sizeof(unsigned long long)) E(sizeof(long)) E(sizeof(int[3])) E(sizeof(struct everything *)) E(sizeof(byte_t))   \
    E(local) E(local + 1) E(-local) E(local * local) E(local & 6) E(local << 3) E(local == 13) E(other) E(other / 4)   \
    E(local - other) E((unsigned char)other) E((signed char)200) E((byte_t)-1) E((byte_t)(local * 100)) E((int)2.9)    \
    E((short)70000) E((unsigned)-1) E((long long)local * 1000000000) E((_Bool)local) E((float)local / 2) E((char)321)  \
    E(pointer[1]) E(*pointer) E(*(pointer + 2)) E(pointer[-1]) E(2 [pointer]) E(pointer - table) E(&table[4] - pointer) \
    E(pointer > table) E(pointer == &table[2]) E(pointer != 0) E(!pointer) E(*&local) E((&local)[0]) E(**handle)       \
    E(first.value) E(first.next->value) E(first.next->next->value) E((*first.next).value) E(node->next->name[0])       \
    E(ring.next->next->next->value) E(all.list->next->value) E(all.matrix[1][2]) E(all.shape.height)                   \
    E(all.shape.paint.green) E(all.packed.small) E(all.packed.mid) E(all.packed.wide) E(all.packed.on)                 \
    E(all.suit) E(all.suit == SPADES) E(all.access & WRITE) E(all.access & EXECUTE) E(HEARTS) E(LOW) E(LOW < HIGH)     \
    E(all.operation == subtract) E(all.operation == add) E(all.text[1]) E(words[2][1]) E(*words[1]) E(huge) E(big)     \
    E(big / 3) E(huge / 3) E(huge % 1000) E(big % 1000) E(huge > big) E((int)huge) E(huge >> 60) E(big >> 60) E(port)  \
    E(port + 1) E(minus) E(negative * 3) E(yes + yes) E(third * 3) E(quarter + quarter) E(tenth == 0.1) E(million * 2) \
    E(wide * 2) E(tiny > 0) E((int)million) E((unsigned char)minus) E(minus == 255) E((unsigned)negative >> 31)        \
    E(local > 3 ? local : -local) E(*(int *)all.anything) E(((struct list *)all.list)->value)          \
    E((char *)&first + 4 == (char *)&first.next) E((uint64_t)1 << 40) E(1ull << 63) E(wide_letter) E(shadow)

#define E(x) {#x, (double)(x), (uint64_t)(int64_t)(x)},

struct expectation {
    const char *text;
    double real;
    uint64_t bits;
} expectations[200];

static int counting(void) {
    static int calls = 5;
    return ++calls; /* @counting */
}

static void check(int local, int count) {
    int other = -29;
    int *pointer = &table[2];
    int **handle = &pointer;
    struct list *node = &first;
    int shadow = 1;
    int variable[count];
    for (int i = 0; i < count; i++)
        variable[i] = i * i;
    {
        int shadow = 77;
        struct expectation computed[] = {CASES(E)};
        memcpy(expectations, computed, sizeof computed);
        shadow += variable[0]; /* @inner */
    }
    shadow += **handle + node->value; /* @outer */
}

int main(void) {
    for (int i = 0; i < 300; i++)
        bytes[i] = i < 100 ? 7 : i;
    check(13, 4); /* @check */
    counting();
    printf("%d %d %d\n", add(1, 2), subtract(3, 4), (int)sizeof words + unterminated[0] + dirty[0] + utf8[0]);
    return 0; /* @end */
}
