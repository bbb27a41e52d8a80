/* What Lua's libraries refer to and WASI does not have. The script calls none of it. */
#include <stdio.h>
#include <stdlib.h>

int system(const char *command) { return command ? -1 : 0; }
FILE *tmpfile(void) { return NULL; }
char *tmpnam(char *name) { return (void)name, NULL; }
