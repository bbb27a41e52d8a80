/* SQLite at work on a database in memory: inserting, joining, updating, deleting. Argument: rows. */
#include "sqlite3.h"

#include <stdio.h>
#include <stdlib.h>

static sqlite3 *db;

static void run(const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, message);
        exit(1);
    }
}

static sqlite3_int64 number(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
    sqlite3_int64 value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

int main(int argc, char **argv) {
    int rows = argc > 1 ? atoi(argv[1]) : 1000;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        return 1;
    run("CREATE TABLE owner(id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER, size REAL, label TEXT);"
        "CREATE INDEX item_by_label ON item(label)");
    run("BEGIN");
    for (int i = 0; i < 100; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "INSERT INTO owner VALUES(%d, 'owner %d')", i, i * i);
        run(sql);
    }
    sqlite3_stmt *insert;
    sqlite3_prepare_v2(db, "INSERT INTO item(owner, size, label) VALUES(?, ?, ?)", -1, &insert, NULL);
    for (int i = 0; i < rows; i++) {
        char label[40];
        snprintf(label, sizeof label, "item %u", (unsigned)i * 2654435761u);
        sqlite3_bind_int(insert, 1, i % 100);
        sqlite3_bind_double(insert, 2, i * 0.5);
        sqlite3_bind_text(insert, 3, label, -1, SQLITE_TRANSIENT);
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    run("COMMIT");
    sqlite3_int64 sum = number("SELECT sum(length(name) * (SELECT count(*) FROM item WHERE owner = owner.id % 10)) FROM owner WHERE id < 20");
    sum += number("SELECT count(*) FROM item a JOIN owner ON owner.id = a.owner WHERE a.label LIKE '%7%' AND size > 10");
    run("UPDATE item SET size = size * 2 WHERE id % 3 = 0");
    run("DELETE FROM item WHERE id % 5 = 0");
    sum += number("SELECT count(DISTINCT substr(label, 6, 4)) + max(size) FROM item");
    printf("database %lld\n", (long long)sum);
    return sqlite3_close(db) != SQLITE_OK;
}
