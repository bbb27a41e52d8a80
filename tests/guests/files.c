/* Files, directories, the clock, the environment and random numbers: much of WASI in one small program. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        printf("cannot write %s: %s\n", path, strerror(errno));
        exit(2);
    }
    fputs(text, file);
    fclose(file);
}

static long count_bytes(const char *path) {
    char buffer[16];
    long total = 0;
    ssize_t got;
    int fd = open(path, O_RDONLY);
    while ((got = read(fd, buffer, sizeof buffer)) > 0) /* @read */
        total += got;
    close(fd);
    return total;
}

static int list(const char *path) {
    int entries = 0;
    DIR *directory = opendir(path);
    while (readdir(directory) != NULL)
        entries++;
    closedir(directory);
    return entries;
}

int main(int argc, char **argv) {
    const char *root = argc > 1 ? argv[1] : ".";
    const char *user = getenv("TTD_USER");
    char path[256];
    char line[64] = "";
    unsigned char random[8];
    struct stat status;
    struct timespec now;

    mkdir(root, 0777);
    snprintf(path, sizeof path, "%s/data.txt", root);
    write_file(path, "the quick brown fox jumps over the lazy dog\n");
    stat(path, &status);
    printf("%ld bytes read, %lld by stat\n", count_bytes(path), (long long)status.st_size);
    printf("%d entries\n", list(root));
    unlink(path);
    clock_gettime(CLOCK_REALTIME, &now);
    getentropy(random, sizeof random);
    if (fgets(line, sizeof line, stdin) != NULL)
        printf("stdin says %s", line);
    printf("user %s, time is %s\n", user ? user : "nobody", now.tv_sec > 1000000000 ? "late" : "early");
    return 0;
}
