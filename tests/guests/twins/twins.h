/* An inline function that every unit compiles and only one of them gets into the program. */

#ifdef SMALL
#define PAD
#else
#define PAD shared_seen = value; shared_seen = value;
#endif

extern volatile int shared_seen;

__attribute__((weak, noinline)) int shared(int value) {
    int doubled = value * 2;
    PAD
    shared_seen = doubled; /* @shared */
    return doubled;
}
