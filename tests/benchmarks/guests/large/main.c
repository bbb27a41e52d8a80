/* The main program of `large`: uses SQLite, zstd and every one of the C++ units, so that the linker keeps
   them. Stops deep inside of SQLite, where a backtrace has many frames. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"
#include "zstd.h"

#define VISIT(unit) int visit##unit(int count);
#include "units.h"
#undef VISIT

static int failed(const char *what) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

static void twice(sqlite3_context *context, int count, sqlite3_value **values) {
    sqlite3_result_int(context, count * sqlite3_value_int(values[0]) * 2);
}

static int sum_of_table(int rows) {
    sqlite3 *database;
    sqlite3_stmt *query;
    char *text;
    if (sqlite3_open(":memory:", &database)) failed("opening");
    sqlite3_create_function(database, "twice", 1, SQLITE_UTF8, NULL, twice, NULL, NULL);
    if (sqlite3_exec(database, "CREATE TABLE t(a, b TEXT)", NULL, NULL, NULL)) failed("creating");
    for (int i = 0; i < rows; i++) {
        text = sqlite3_mprintf("INSERT INTO t VALUES(%d, 'row %d')", i, i);
        if (sqlite3_exec(database, text, NULL, NULL, NULL)) failed("inserting");
        sqlite3_free(text);
    }
    if (sqlite3_prepare_v2(database, "SELECT sum(twice(a)) FROM t", -1, &query, NULL)) failed("preparing");
    sqlite3_step(query);
    int sum = sqlite3_column_int(query, 0);
    sqlite3_finalize(query);
    sqlite3_close(database);
    return sum;
}

static size_t packed_size(size_t size) {
    char *plain = malloc(size);
    size_t most = ZSTD_compressBound(size);
    char *packed = malloc(most);
    memset(plain, 'x', size);
    size_t length = ZSTD_compress(packed, most, plain, size, 3);
    if (ZSTD_decompress(plain, size, packed, length) != size) failed("unpacking");
    free(plain);
    free(packed);
    return length;
}

int main(int count, char **arguments) {
    int rounds = count > 1 ? atoi(arguments[1]) : 1, sum = 0;
#define VISIT(unit) sum += visit##unit(rounds);
#include "units.h"
    printf("%d %d %zu\n", sum, sum_of_table(rounds), packed_size(rounds * 1000));
    return 0;
}
