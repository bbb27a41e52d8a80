/* A control loop over host functions: opens a valve when it is too warm. Build it with
 *     python -m ziglang cc -target wasm32-wasi -g -fno-sanitize=undefined -o sensor.wasm sensor.c
 */
#include <stdio.h>
#include <string.h>

#define HOST(name) __attribute__((import_module("env"), import_name(name)))

HOST("read_sensor") double read_sensor(unsigned channel);
HOST("set_valve") void set_valve(float position);
HOST("log") void host_log(const char *text, unsigned length);

int main(void) {
    char line[64];
    double sum = 0;
    for (int round = 0; round < 5; round++) {
        double warm = read_sensor(round & 1);
        sum += warm;
        set_valve(warm > 20 ? 0.5f : 0.0f);
        snprintf(line, sizeof line, "round %d: %.3f", round, warm);
        host_log(line, strlen(line));
    }
    printf("mean %.3f\n", sum / 5);
    return 0;
}
