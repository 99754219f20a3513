/* The guestbook: a web server, the store behind it, and a client that keeps asking, in one small
 * static program. It is what the demo runs in its pods.
 *
 *   guestbook web             the page; reads TITLE, COLOUR, VERSION, STORE (host:port), TOKEN_FILE
 *   guestbook store           keeps the lines; reads DATA (a folder), TOKEN_FILE
 *   guestbook ask URL SECONDS asks again and again; prints who answered and how many requests
 * failed
 *
 * One thread, one connection at a time is enough here: requests are small and answered at once. On
 * SIGTERM it stops accepting, answers what the kernel has already accepted, and exits with 0. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_MAX = 1 << 16, TOKEN_MAX = 256, LINE_MAX_BYTES = 200 };

static volatile sig_atomic_t stopping;
static int stop_pipe[2];

static void on_stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
    ssize_t ignored = write(stop_pipe[1], "x", 1);
    (void)ignored;
}

static const char* setting(const char* name, const char* otherwise) {
    const char* value = getenv(name);
    return value && *value ? value : otherwise;
}

/* The shared secret, read at each use so that a changed Secret is followed; "" when there is none.
 */
static void read_token(char token[TOKEN_MAX]) {
    token[0] = 0;
    FILE* file = fopen(setting("TOKEN_FILE", "/etc/guestbook/token"), "r");
    if (!file) return;
    size_t have = fread(token, 1, TOKEN_MAX - 1, file);
    fclose(file);
    token[have] = 0;
    token[strcspn(token, "\r\n")] = 0;
}

/* Connects to "host:port" within 5 seconds for each step; -1 on failure. */
static int connect_to(const char* address) {
    char host[256];
    const char* colon = strrchr(address, ':');
    if (!colon || (size_t)(colon - address) >= sizeof host) return -1;
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = 0;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, colon + 1, &hints, &found)) return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, found->ai_addr, found->ai_addrlen)) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static int send_all(int fd, const char* bytes, size_t count) {
    while (count) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return -1;
        bytes += sent;
        count -= (size_t)sent;
    }
    return 0;
}

/* Reads one HTTP message (head, and a body of Content-Length); its size, or -1. */
static long receive_message(int fd, char* message) {
    size_t have = 0;
    for (;;) {
        ssize_t got = recv(fd, message + have, MESSAGE_MAX - 1 - have, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        have += (size_t)got;
        message[have] = 0;
        const char* end = strstr(message, "\r\n\r\n");
        if (end) {
            const char* length = strcasestr(message, "content-length:");
            size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
            if (have >= (size_t)(end + 4 - message) + body) return (long)have;
        }
        if (got == 0 || have >= MESSAGE_MAX - 1) return -1;
    }
}

static void respond(int fd, int status, const char* type, const char* body) {
    char head[256];
    int size = snprintf(
        head, sizeof head,
        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
        status, status == 200 ? "OK" : "Error", type, strlen(body));
    if (!send_all(fd, head, (size_t)size)) send_all(fd, body, strlen(body));
}

/* Asks the store; the body lands in `answer` (its whole message). The HTTP status, or -1. */
static int ask_store(const char* method, const char* line, char* answer, const char** body) {
    char token[TOKEN_MAX], request[1024];
    read_token(token);
    int fd = connect_to(setting("STORE", "guestbook-store:8081"));
    if (fd < 0) return -1;
    int size = snprintf(
        request, sizeof request,
        "%s /lines HTTP/1.1\r\nHost: store\r\nX-Token: %s\r\nContent-Length: %zu\r\n\r\n%s", method,
        token, strlen(line), line);
    int status = -1;
    if (!send_all(fd, request, (size_t)size) && receive_message(fd, answer) > 0 &&
        sscanf(answer, "HTTP/1.1 %d", &status) == 1)
        *body = strstr(answer, "\r\n\r\n") + 4;
    close(fd);
    return status;
}

static void append_escaped(char* out, size_t room, const char* text) {
    size_t at = strlen(out);
    for (; *text && at + 8 < room; ++text) {
        const char* escaped = *text == '<'   ? "&lt;"
                              : *text == '>' ? "&gt;"
                              : *text == '&' ? "&amp;"
                                             : NULL;
        if (escaped)
            at += (size_t)snprintf(out + at, room - at, "%s", escaped);
        else
            out[at++] = *text;
    }
    out[at] = 0;
}

static void page(int fd, const char* host) {
    static char answer[MESSAGE_MAX], html[MESSAGE_MAX];
    const char* lines = "";
    int status = ask_store("GET", "", answer, &lines);
    if (status != 200) {
        respond(fd, 502, "text/plain",
                "the store does not answer; the lines are safe there, try again\n");
        return;
    }
    snprintf(html, sizeof html,
             "<!doctype html><title>%s</title><style>body{font:16px "
             "sans-serif;margin:3em;border-top:8px solid %s}"
             "</style><h1>%s</h1><form method=post><input name=line "
             "autofocus><button>Sign</button></form><pre>",
             setting("TITLE", "Guestbook"), setting("COLOUR", "steelblue"),
             setting("TITLE", "Guestbook"));
    append_escaped(html, sizeof html - 256, lines);
    size_t at = strlen(html);
    snprintf(html + at, sizeof html - at, "</pre><p>version %s, answered by %s</p>\n",
             setting("VERSION", "1"), host);
    respond(fd, 200, "text/html; charset=utf-8", html);
}

/* Decodes "line=a+b%21" in place; the text after "line=". */
static char* form_line(char* body) {
    char* from = strncmp(body, "line=", 5) ? body : body + 5;
    char* to = from;
    char* start = from;
    for (; *from && *from != '&'; ++from) {
        unsigned value;
        if (*from == '%' && sscanf(from + 1, "%2x", &value) == 1 && value >= ' ') {
            *to++ = (char)value;
            from += 2;
        } else {
            *to++ = *from == '+' ? ' ' : *from;
        }
    }
    *to = 0;
    start[strcspn(start, "\r\n")] = 0;
    if (strlen(start) > LINE_MAX_BYTES) start[LINE_MAX_BYTES] = 0;
    return start;
}

static void serve_web(int fd, char* request, const char* host) {
    static char answer[MESSAGE_MAX];
    char text[512];
    const char* ignored;
    if (!strncmp(request, "GET /healthz ", 13)) {
        respond(fd, 200, "text/plain", "ok\n");
    } else if (!strncmp(request, "GET /whoami ", 12)) {
        snprintf(text, sizeof text, "%s version %s\n", host, setting("VERSION", "1"));
        respond(fd, 200, "text/plain", text);
    } else if (!strncmp(request, "GET / ", 6)) {
        page(fd, host);
    } else if (!strncmp(request, "POST / ", 7)) {
        int status =
            ask_store("POST", form_line(strstr(request, "\r\n\r\n") + 4), answer, &ignored);
        if (status == 200)
            page(fd, host);
        else
            respond(fd, 502, "text/plain",
                    "the store did not take the line; nothing was written, try again\n");
    } else {
        respond(fd, 404, "text/plain", "ask for /, /whoami or /healthz\n");
    }
}

static void serve_store(int fd, char* request, const char* host) {
    static char lines[MESSAGE_MAX / 2];
    char token[TOKEN_MAX], wanted[TOKEN_MAX + 32], path[512];
    (void)host;
    if (!strncmp(request, "GET /healthz ", 13)) {
        respond(fd, 200, "text/plain", "ok\n");
        return;
    }
    read_token(token);
    snprintf(wanted, sizeof wanted, "X-Token: %s\r\n", token);
    if (!strstr(request, wanted)) {
        respond(fd, 403, "text/plain", "wrong token\n");
        return;
    }
    snprintf(path, sizeof path, "%s/lines", setting("DATA", "/data"));
    if (!strncmp(request, "POST /lines ", 12)) {
        FILE* file = fopen(path, "a");
        int failed = !file || fprintf(file, "%s\n", form_line(strstr(request, "\r\n\r\n") + 4)) < 0;
        if (file && fclose(file)) failed = 1;
        respond(fd, failed ? 500 : 200, "text/plain",
                failed ? "the line could not be written\n" : "ok\n");
        return;
    }
    FILE* file = fopen(path, "r");
    size_t have = file ? fread(lines, 1, sizeof lines - 1, file) : 0;
    lines[have] = 0;
    if (file) fclose(file);
    respond(fd, 200, "text/plain", lines);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (bind(fd, (struct sockaddr*)&any, sizeof any) || listen(fd, 128)) {
        perror("guestbook: listen");
        exit(1);
    }
    return fd;
}

static void serve_one(int fd, const char* host, void (*serve)(int, char*, const char*)) {
    static char request[MESSAGE_MAX];
    struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (receive_message(fd, request) > 0) {
        printf("%.*s\n", (int)strcspn(request, "\r\n"), request);
        fflush(stdout);
        serve(fd, request, host);
        shutdown(fd, SHUT_WR);
    }
    close(fd);
}

static int serve_forever(int port, void (*serve)(int, char*, const char*)) {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    if (pipe(stop_pipe)) return 1;
    signal(SIGTERM, on_stop);
    signal(SIGINT, on_stop);
    int listener = listen_on(port);
    printf("guestbook: %s serves port %d\n", host, port);
    fflush(stdout);
    for (;;) {
        struct pollfd ready[2] = {{.fd = listener, .events = POLLIN},
                                  {.fd = stop_pipe[0], .events = POLLIN}};
        if (!stopping) poll(ready, 2, -1);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            serve_one(fd, host, serve);
        else if (stopping)
            break; /* the backlog is empty: everybody who was let in has been answered */
    }
    printf("guestbook: stopped after SIGTERM, nobody was left waiting\n");
    return 0;
}

/* One GET of "host:port" + path; 0 and the body's first line in `line` when it was a 200. */
static int ask_once(const char* address, const char* path, char* line, size_t room) {
    static char message[MESSAGE_MAX];
    char request[512];
    int status = 0, fd = connect_to(address);
    if (fd < 0) return -1;
    int size =
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address);
    int failed = send_all(fd, request, (size_t)size) || receive_message(fd, message) < 0 ||
                 sscanf(message, "HTTP/1.1 %d", &status) != 1 || status != 200;
    close(fd);
    if (failed) return -1;
    const char* body = strstr(message, "\r\n\r\n") + 4;
    snprintf(line, room, "%.*s", (int)strcspn(body, "\r\n"), body);
    return 0;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int ask(const char* url, double seconds) {
    enum { KINDS = 64 };
    static char who[KINDS][256];
    static long count[KINDS];
    char address[256], line[256];
    long asked = 0, failed = 0;
    if (!strncmp(url, "http://", 7)) url += 7;
    const char* path = strchr(url, '/');
    snprintf(address, sizeof address, "%.*s", path ? (int)(path - url) : (int)strlen(url), url);
    if (!strchr(address, ':')) strcat(address, ":80");
    signal(SIGTERM, on_stop);
    if (pipe(stop_pipe)) return 1;
    for (double end = now() + seconds; now() < end && !stopping; ++asked) {
        if (ask_once(address, path ? path : "/", line, sizeof line)) {
            ++failed;
            printf("failed after %ld requests: %s\n", asked, strerror(errno));
            continue;
        }
        int kind = 0;
        while (kind < KINDS - 1 && who[kind][0] && strcmp(who[kind], line)) ++kind;
        snprintf(who[kind], sizeof who[kind], "%s", line);
        ++count[kind];
    }
    for (int kind = 0; kind < KINDS && who[kind][0]; ++kind)
        printf("%6ld  %s\n", count[kind], who[kind]);
    printf("asked %ld failed %ld\n", asked, failed);
    return failed ? 1 : 0;
}

int main(int argc, char** argv) {
    if (argc == 2 && !strcmp(argv[1], "web"))
        return serve_forever(atoi(setting("PORT", "8080")), serve_web);
    if (argc == 2 && !strcmp(argv[1], "store"))
        return serve_forever(atoi(setting("PORT", "8081")), serve_store);
    if (argc == 4 && !strcmp(argv[1], "ask")) return ask(argv[2], atof(argv[3]));
    fprintf(stderr, "usage: guestbook web | store | ask HOST:PORT/PATH SECONDS\n");
    return 2;
}
