/* WASI has no setjmp yet. Lua needs it for errors only, and the script makes none: an error ends the program. */
#ifndef BENCHMARK_SETJMP_H
#define BENCHMARK_SETJMP_H
#include <stdlib.h>
typedef int jmp_buf[1];
#define setjmp(buffer) ((void)(buffer), 0)
#define longjmp(buffer, value) abort()
#endif
