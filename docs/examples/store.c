/* A client of a database that the host provides. Build it with
 *     python -m ziglang cc -target wasm32-wasi -g -fno-sanitize=undefined -o store.wasm store.c
 */
#include <stdio.h>

#define STORE(name) __attribute__((import_module("store"), import_name(name)))

STORE("put") void store_put(const char *key, const void *data, unsigned length);
STORE("get") int store_get(const char *key, void *buffer, unsigned size, unsigned *length);
STORE("close") _Noreturn void store_close(int status);

static void show(const char *key) {
    char buffer[8] = "";
    unsigned length = 0;
    if (store_get(key, buffer, sizeof buffer - 1, &length) < 0)
        printf("%s: missing\n", key);
    else
        printf("%s: %s (%u bytes)\n", key, buffer, length);
}

int main(void) {
    show("greeting");
    show("answer");
    store_put("answer", "42", 2);
    show("answer");
    fflush(stdout);
    store_close(7);
}
