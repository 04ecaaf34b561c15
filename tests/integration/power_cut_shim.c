/* Writes down, in order, what a process does to the files below $POWER_CUT_ROOT: one record per call, to $POWER_CUT_LOG.
 * Loaded with LD_PRELOAD. A call and its record are one step, so that the order of records is an order that happened. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static int record_fd = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    root = getenv("POWER_CUT_ROOT");
    const char *path = getenv("POWER_CUT_LOG");
    if (root && path) record_fd = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int ours(const char *path) {
    return record_fd >= 0 && path && !strncmp(path, root, strlen(root)) && !strstr(path, "-shm");
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return ours(path);
}

static void record(char op, const char *path, const char *other, uint64_t offset, const void *data, uint32_t size) {
    struct __attribute__((packed)) { char op; uint16_t path, other; uint64_t offset; uint32_t size; } head =
        {op, strlen(path), other ? strlen(other) : 0, offset, size};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)other, head.other}, {(void *)data, size}};
    REAL(writev)(record_fd, parts, 4);
}

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    if (!ours(path) || !(flags & (O_CREAT | O_TRUNC))) return real(path, flags, mode);
    pthread_mutex_lock(&lock);
    int new = access(path, F_OK) != 0;
    int fd = real(path, flags, mode);
    if (fd >= 0 && new) record('C', path, 0, 0, 0, 0);
    else if (fd >= 0 && flags & O_TRUNC) record('T', path, 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(last) va_list rest; va_start(rest, last); mode_t mode = va_arg(rest, mode_t); va_end(rest)
int open(const char *path, int flags, ...) { MODE(flags); return opened(REAL(open), path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags); return opened(REAL(open64), path, flags, mode); }

#define STEP(type, call, op, fd, other, offset, data, size)                          \
    char path[PATH_MAX];                                                             \
    if (!path_of(fd, path)) return call;                                             \
    pthread_mutex_lock(&lock);                                                       \
    type result = call;                                                              \
    if (result >= 0) record(op, path, other, offset, data, size);                    \
    pthread_mutex_unlock(&lock);                                                     \
    return result

ssize_t write(int fd, const void *data, size_t size) {
    STEP(ssize_t, REAL(write)(fd, data, size), 'W', fd, 0, lseek(fd, 0, SEEK_CUR) - result, data, result);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    STEP(ssize_t, REAL(pwrite)(fd, data, size, at), 'W', fd, 0, at, data, result);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    STEP(ssize_t, REAL(pwrite64)(fd, data, size, at), 'W', fd, 0, at, data, result);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return REAL(writev)(fd, parts, count);
    pthread_mutex_lock(&lock);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t result = REAL(writev)(fd, parts, count), left = result;
    for (int part = 0; part < count && left > 0; part++) {
        uint32_t size = parts[part].iov_len < (size_t)left ? parts[part].iov_len : (size_t)left;
        record('W', path, 0, at, parts[part].iov_base, size);
        at += size, left -= size;
    }
    pthread_mutex_unlock(&lock);
    return result;
}
int fsync(int fd) { STEP(int, REAL(fsync)(fd), 'S', fd, 0, 0, 0, 0); }
int fdatasync(int fd) { STEP(int, REAL(fdatasync)(fd), 'S', fd, 0, 0, 0, 0); }
int ftruncate(int fd, off_t size) { STEP(int, REAL(ftruncate)(fd, size), 'T', fd, 0, size, 0, 0); }
int ftruncate64(int fd, off64_t size) { STEP(int, REAL(ftruncate64)(fd, size), 'T', fd, 0, size, 0, 0); }

int rename(const char *from, const char *to) {
    if (!ours(from)) return REAL(rename)(from, to);
    pthread_mutex_lock(&lock);
    int result = REAL(rename)(from, to);
    if (!result) record('R', from, to, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int unlink(const char *path) {
    if (!ours(path)) return REAL(unlink)(path);
    pthread_mutex_lock(&lock);
    int result = REAL(unlink)(path);
    if (!result) record('U', path, 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
