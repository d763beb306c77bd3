/* SPDX-License-Identifier: Apache-2.0 */
#include "os/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "os/impl.h"

enum { LOG_FILE_MODE = 0666 /* umask cuts it, as in etcd */, TIME_TEXT_BYTES = 48 };

struct os_log_output {
    int fd;
    bool is_owned;
};

struct os_log_sink {
    enum os_log_format format;
    struct os_log_output outputs[OS_LOG_OUTPUTS_MAX];
    size_t count;
    bool is_installed;
};

/* ---- lines ---- */

static void json_line(struct buf *out, const struct log_line *line, const char *ts)
{
    buf_printf(out, "{\"level\":\"%s\",\"ts\":\"%s\"", log_level_name(line->level), ts);
    if (line->logger != NULL) {
        buf_append_cstr(out, ",\"logger\":");
        log_json_string(out, line->logger, strlen(line->logger));
    }
    buf_printf(out, ",\"caller\":\"%s:%d\",\"msg\":", line->file, line->line);
    log_json_string(out, line->msg, strlen(line->msg));
    log_fields_json(out, line->fields, line->count);
    if (line->level >= LOG_ERROR) {
        /* zap prints the Go stack here; readers only look whether the field is there. */
        buf_printf(out, ",\"stacktrace\":\"%s:%d\"", line->file, line->line);
    }
    buf_append_cstr(out, "}\n");
}

/* JSON as zap's console encoder has it: a blank behind each comma and colon outside strings. */
static void append_spaced(struct buf *out, struct slice json)
{
    bool is_string = false;
    for (size_t i = 0; i < json.len; i++) {
        uint8_t c = json.data[i];
        buf_append_byte(out, c);
        if (is_string && c == '\\' && i + 1 < json.len) {
            buf_append_byte(out, json.data[++i]);
        } else if (c == '"') {
            is_string = !is_string;
        } else if (!is_string && (c == ',' || c == ':')) {
            buf_append_byte(out, ' ');
        }
    }
}

static void console_line(struct buf *out, const struct log_line *line, const char *ts)
{
    buf_printf(out, "%s\t%s", ts, log_level_name(line->level));
    if (line->logger != NULL) {
        buf_printf(out, "\t%s", line->logger);
    }
    buf_printf(out, "\t%s:%d\t%s", line->file, line->line, line->msg);
    if (line->count > 0) {
        struct buf fields = BUF_INIT;
        log_fields_json(&fields, line->fields, line->count);
        buf_append_cstr(out, "\t{");
        append_spaced(out, slice_skip(buf_slice(&fields), 1));
        buf_append_byte(out, '}');
        buf_deinit(&fields);
    }
    if (line->level >= LOG_ERROR) {
        buf_printf(out, "\n%s:%d", line->file, line->line);
    }
    buf_append_byte(out, '\n');
}

void os_log_format_line(struct buf *out, enum os_log_format format, const struct log_line *line,
                        int64_t wall_ns)
{
    char ts[TIME_TEXT_BYTES];
    (void)os_time_format(wall_ns, ts, sizeof(ts));
    if (format == OS_LOG_JSON) {
        json_line(out, line, ts);
    } else {
        console_line(out, line, ts);
    }
}

/* ---- outputs ---- */

/* The whole line in one write where the output can; a pipe that is full is waited for. */
static void output_write(const struct os_log_output *o, struct slice line)
{
    while (line.len > 0) {
        ssize_t n = write(o->fd, line.data, line.len);
        if (n >= 0) {
            line = slice_skip(line, (size_t)n);
            continue;
        }
        struct pollfd p = {.fd = o->fd, .events = POLLOUT};
        if (errno != EINTR && (errno != EAGAIN || poll(&p, 1, -1) < 0)) {
            return;
        }
    }
}

static void on_line(void *arg, const struct log_line *line)
{
    const struct os_log_sink *s = arg;
    struct timespec now;
    struct buf text = BUF_INIT;
    ensure(clock_gettime(CLOCK_REALTIME, &now) == 0);
    os_log_format_line(&text, s->format, line, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    for (size_t i = 0; i < s->count; i++) {
        output_write(&s->outputs[i], buf_slice(&text));
    }
    buf_deinit(&text);
}

void os_log_sink_create(enum os_log_format format, struct os_log_sink **out)
{
    struct os_log_sink *s = mem_zalloc(sizeof(*s));
    s->format = format;
    *out = s;
}

int os_log_sink_add(struct os_log_sink *s, const char *output)
{
    struct os_log_output o = {.fd = -1};
    if (s->count == OS_LOG_OUTPUTS_MAX) {
        return ERR_LIMIT;
    }
    if (strcmp(output, "default") == 0 || strcmp(output, "stderr") == 0 ||
        strcmp(output, "systemd/journal") == 0) {
        o.fd = OS_STDERR;
    } else if (strcmp(output, "stdout") == 0) {
        o.fd = OS_STDOUT;
    } else {
        o.fd = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, LOG_FILE_MODE);
        o.is_owned = true;
    }
    if (o.fd < 0) {
        return os_fail();
    }
    s->outputs[s->count++] = o;
    return 0;
}

void os_log_sink_install(struct os_log_sink *s, enum log_level min)
{
    tzset(); /* localtime_r need not look for the zone itself */
    s->is_installed = true;
    log_level_set(min);
    log_sink_set(on_line, s);
}

void os_log_sink_destroy(struct os_log_sink *s)
{
    if (s == NULL) {
        return;
    }
    if (s->is_installed) {
        log_sink_set(NULL, NULL);
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->outputs[i].is_owned) {
            (void)close(s->outputs[i].fd);
        }
    }
    mem_free(s);
}

int os_log_level_parse(const char *name, enum log_level *out)
{
    for (int level = LOG_DEBUG; level <= LOG_FATAL; level++) {
        if (strcmp(name, log_level_name((enum log_level)level)) == 0) {
            *out = (enum log_level)level;
            return 0;
        }
    }
    return ERR_INVALID;
}
