/* SPDX-License-Identifier: Apache-2.0
 *
 * base/log: structured log lines in etcd's (zap's) shape; no clock and no output of its own.
 *
 * A line is a level, a constant message and typed fields.  base formats nothing to a device: the
 * program installs a sink (server: JSON or console lines with time; tests: capture), without one
 * lines are dropped.  Messages are etcd's own texts where etcd has such a line (cli.md 1.8).
 *
 *     log_info("saved snapshot to disk", LOG_U64("snapshot-index", index));
 *
 * Thread      any; the sink must be ready for that.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
    LOG_DPANIC,
    LOG_PANIC,
    LOG_FATAL,
};

enum log_kind {
    LOG_KIND_NONE,
    LOG_KIND_STR,   /* NUL-terminated */
    LOG_KIND_SLICE, /* bytes, shown as text with JSON escapes */
    LOG_KIND_U64,
    LOG_KIND_I64,
    LOG_KIND_HEX, /* a string in lower-case hex, as etcd shows ids */
    LOG_KIND_BOOL,
    LOG_KIND_NS,   /* a duration in nanoseconds, shown in Go's form */
    LOG_KIND_ERR,  /* err_text() */
    LOG_KIND_JSON, /* NUL-terminated, already JSON */
    LOG_KIND_STRS, /* array of NUL-terminated strings, count in num */
};

struct log_field {
    const char *key;
    enum log_kind kind;
    uint64_t num;
    const void *ptr;
};

#define LOG_STR(k, v)                                                                              \
    {                                                                                              \
        (k), LOG_KIND_STR, 0, (v)                                                                  \
    }
#define LOG_SLICE(k, v)                                                                            \
    {                                                                                              \
        (k), LOG_KIND_SLICE, (v).len, (v).data                                                     \
    }
#define LOG_U64(k, v)                                                                              \
    {                                                                                              \
        (k), LOG_KIND_U64, (uint64_t)(v), NULL                                                     \
    }
#define LOG_I64(k, v)                                                                              \
    {                                                                                              \
        (k), LOG_KIND_I64, (uint64_t)(int64_t)(v), NULL                                            \
    }
#define LOG_HEX(k, v)                                                                              \
    {                                                                                              \
        (k), LOG_KIND_HEX, (uint64_t)(v), NULL                                                     \
    }
#define LOG_BOOL(k, v)                                                                             \
    {                                                                                              \
        (k), LOG_KIND_BOOL, (v) ? 1 : 0, NULL                                                      \
    }
#define LOG_NS(k, v)                                                                               \
    {                                                                                              \
        (k), LOG_KIND_NS, (uint64_t)(v), NULL                                                      \
    }
#define LOG_ERR(v)                                                                                 \
    {                                                                                              \
        "error", LOG_KIND_ERR, (uint64_t)(int64_t)(v), NULL                                        \
    }
#define LOG_JSON(k, v)                                                                             \
    {                                                                                              \
        (k), LOG_KIND_JSON, 0, (v)                                                                 \
    }
#define LOG_STRS(k, v, n)                                                                          \
    {                                                                                              \
        (k), LOG_KIND_STRS, (n), (v)                                                               \
    }

struct log_line {
    enum log_level level;
    const char *logger; /* "raft", ... or NULL */
    const char *file;   /* folder/file.c as compiled */
    int line;
    const char *msg;
    const struct log_field *fields;
    size_t count;
};

typedef void (*log_sink_fn)(void *arg, const struct log_line *line);

/* Before threads start.  fn NULL drops all. */
void log_sink_set(log_sink_fn fn, void *arg);
void log_level_set(enum log_level min);
bool log_is_on(enum log_level level);
void log_write(const struct log_line *line);

/* `,"key":value` for every field, JSON-escaped. */
void log_fields_json(struct buf *out, const struct log_field *fields, size_t count);
/* s as a JSON string with quotes; invalid UTF-8 becomes U+FFFD, <>& are kept (zap's way). */
void log_json_string(struct buf *out, const void *s, size_t len);
/* Go's time.Duration.String(): 1.5s, 2m0s, 488.477µs, 0s. */
void log_duration(struct buf *out, int64_t ns);
const char *log_level_name(enum log_level level);

#define log_at_(lvl, name, m, ...)                                                                 \
    do {                                                                                           \
        if (log_is_on(lvl)) {                                                                      \
            const struct log_field log_fields_[] = {{NULL, LOG_KIND_NONE, 0, NULL},                \
                                                    ##__VA_ARGS__};                                \
            log_write(&(struct log_line){(lvl), (name), __FILE__, __LINE__, (m), log_fields_ + 1,  \
                                         ARRAY_LEN(log_fields_) - 1});                             \
        }                                                                                          \
    } while (0)

#define log_debug(m, ...) log_at_(LOG_DEBUG, NULL, m, ##__VA_ARGS__)
#define log_info(m, ...) log_at_(LOG_INFO, NULL, m, ##__VA_ARGS__)
#define log_warn(m, ...) log_at_(LOG_WARN, NULL, m, ##__VA_ARGS__)
#define log_error(m, ...) log_at_(LOG_ERROR, NULL, m, ##__VA_ARGS__)
#define log_raft_info(m, ...) log_at_(LOG_INFO, "raft", m, ##__VA_ARGS__)

#endif
