// The container's output in CRI's format, "<time> <stream> <F|P> <text>\n" (kubernetes, CRI
// logging): F ends a line, P is a part of one that is longer than 16 KiB. Rotation renames log to
// log.1, log.1 to log.2 and so on, between two lines.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void log_open(struct log_file* log) {
    struct stat info;
    if (log->fd >= 0) close(log->fd);
    log->fd = -1;
    if (log->path == NULL) return;
    log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    log->size = log->fd >= 0 && fstat(log->fd, &info) == 0 ? (uint64_t)info.st_size : 0;
}

static void rotate(struct log_file* log) {
    char from[4096], to[4096];
    for (unsigned n = log->max_files - 1; n >= 1; n--) {
        if (n == 1)
            snprintf(from, sizeof from, "%s", log->path);
        else
            snprintf(from, sizeof from, "%s.%u", log->path, n - 1);
        snprintf(to, sizeof to, "%s.%u", log->path, n);
        rename(from, to);
    }
    if (log->max_files <= 1) unlink(log->path);
    log_open(log);
}

// "2026-01-02T03:04:05.123456789Z"
static size_t format_time(char* out, size_t size) {
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    return (size_t)snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", tm.tm_year + 1900,
                            tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                            now.tv_nsec);
}

// One entry in one write, so that a reader never sees half of one and a full disk loses whole
// entries.
static void write_entry(struct monitor* m, const struct log_stream* stream, int full) {
    struct log_file* log = &m->log;
    char head[64];
    if (log->fd < 0) return;
    size_t length = format_time(head, sizeof head);
    length += (size_t)snprintf(head + length, sizeof head - length, " %s %c ", stream->name,
                               full ? 'F' : 'P');
    struct iovec parts[3] = {{head, length}, {(void*)stream->line, stream->used}, {"\n", 1}};
    ssize_t n;
    do {
        n = writev(log->fd, parts, 3);
    } while (n < 0 && errno == EINTR);
    if (n > 0) log->size += (uint64_t)n;
    if (full && log->max_bytes > 0 && log->size >= log->max_bytes) rotate(log);
}

static void take_bytes(struct monitor* m, struct log_stream* stream, const char* bytes,
                       size_t count) {
    while (count > 0) {
        const char* newline = memchr(bytes, '\n', count);
        size_t length = newline != NULL ? (size_t)(newline - bytes) : count;
        size_t room = LOG_LINE - stream->used;
        int fits = length <= room;
        size_t taken = fits ? length : room;
        memcpy(stream->line + stream->used, bytes, taken);
        stream->used += taken;
        bytes += taken;
        count -= taken;
        if (fits && newline != NULL) {
            write_entry(m, stream, 1);
            bytes++; // the newline
            count--;
        } else if (!fits) {
            write_entry(m, stream, 0);
        } else {
            return; // an unfinished line waits for its rest
        }
        stream->used = 0;
    }
}

static ssize_t read_some(struct monitor* m, struct log_stream* stream) {
    static char buffer[16384];
    ssize_t n;
    do {
        n = read(stream->fd, buffer, sizeof buffer);
    } while (n < 0 && errno == EINTR);
    if (n > 0) take_bytes(m, stream, buffer, (size_t)n);
    return n;
}

static void end_stream(struct monitor* m, struct log_stream* stream) {
    if (stream->used > 0) write_entry(m, stream, 1);
    stream->used = 0;
    if (m->terminal == stream->fd) m->terminal = -1;
    close(stream->fd);
    stream->fd = -1;
}

void log_pump(struct monitor* m, struct log_stream* stream) {
    ssize_t n = read_some(m, stream);
    // A terminal says EIO when its last user has closed it.
    if (n == 0 || (n < 0 && errno != EAGAIN)) end_stream(m, stream);
}

void log_finish(struct monitor* m, struct log_stream* stream) {
    if (stream->fd < 0) return;
    fcntl(stream->fd, F_SETFL, O_NONBLOCK);
    while (read_some(m, stream) > 0) {
    }
    end_stream(m, stream);
}
