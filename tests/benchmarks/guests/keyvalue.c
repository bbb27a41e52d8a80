/* SQLite on disk as a store of keys and values, with small pages and a cache of a few of them: nearly every look at a
   record goes to the file, as with a database that is much larger than its cache. Seven of eight operations read a
   random record, one changes it; 64 of them make a transaction. Far more than 100,000 calls of WASI a second.
   `keyvalue THOUSANDS FILE`: thousands of operations. */
#include "sqlite3.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 20000, BATCH = 64, SIZE = 100 };
static sqlite3 *db;
static unsigned char value[SIZE];

static void run(const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, message);
        exit(1);
    }
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
    return statement;
}

static void put(sqlite3_stmt *statement, uint32_t key) {
    value[key % SIZE]++;
    sqlite3_bind_blob(statement, 1, value, SIZE, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2, (int)key);
    if (sqlite3_step(statement) != SQLITE_DONE)
        abort();
    sqlite3_reset(statement);
}

static uint32_t get(sqlite3_stmt *statement, uint32_t key) {
    sqlite3_bind_int(statement, 1, (int)key);
    if (sqlite3_step(statement) != SQLITE_ROW || sqlite3_column_bytes(statement, 0) != SIZE)
        abort();
    uint32_t byte = ((const unsigned char *)sqlite3_column_blob(statement, 0))[key % SIZE];
    sqlite3_reset(statement);
    return byte;
}

int main(int argc, char **argv) {
    if (argc != 3 || sqlite3_open(argv[2], &db) != SQLITE_OK)
        return 1;
    long operations = 1000L * atoi(argv[1]);
    run("PRAGMA page_size = 512; PRAGMA cache_size = 10; PRAGMA synchronous = OFF; PRAGMA journal_mode = PERSIST;"
        "PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE item(key INTEGER PRIMARY KEY, value BLOB); BEGIN");
    sqlite3_stmt *insert = prepare("INSERT INTO item(value, key) VALUES(?, ?)");
    for (uint32_t key = 0; key < KEYS; key++)
        put(insert, key);
    sqlite3_finalize(insert);
    sqlite3_stmt *update = prepare("UPDATE item SET value = ? WHERE key = ?");
    sqlite3_stmt *select = prepare("SELECT value FROM item WHERE key = ?");
    uint32_t state = 1, sum = 0;
    for (long i = 0; i < operations; i++) {
        if (i % BATCH == 0)
            run("COMMIT; BEGIN");
        state = state * 1664525u + 1013904223u;
        uint32_t key = (state >> 8) % KEYS;
        if (i % 8 == 0)
            put(update, key);
        else
            sum = sum * 31 + get(select, key);
    }
    sqlite3_finalize(update);
    sqlite3_finalize(select);
    run("COMMIT");
    printf("keyvalue %u\n", sum);
    return sqlite3_close(db) != SQLITE_OK;
}
