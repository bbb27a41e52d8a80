/* Says that it is ready, then blocks as its argument says: in a read, in a sleep, in a loop. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "loop";
    char line[64];
    volatile unsigned long count = 0;
    puts("ready");
    fflush(stdout);
    if (strcmp(how, "read") == 0) {
        while (fgets(line, sizeof line, stdin) != NULL)
            printf("got %s", line);
        return 5;
    }
    if (strcmp(how, "sleep") == 0) {
        sleep(1000);
        return 6;
    }
    for (;;)
        count++;
}
