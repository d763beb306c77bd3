/* SPDX-License-Identifier: Apache-2.0
 *
 * os/log_sink: where log lines go: JSON or console lines with local time, to several outputs.
 *
 *     struct os_log_sink *sink;
 *     err = os_log_sink_create(OS_LOG_JSON, &sink);
 *     err = os_log_sink_add(sink, "stderr");
 *     os_log_sink_install(sink, LOG_INFO);
 *
 * Design      A line is built in a buffer of the calling thread and written with one write(2) an
 *             output, so lines of several threads never mix.  Fields as cli.md 1.8: level, ts,
 *             logger, caller, msg, own fields, stacktrace (from level error up).
 * Thread      install: before threads start.  Lines: any.
 * Limits      OS_LOG_OUTPUTS_MAX outputs.  A line has no bound but its fields'.
 * Failure     A write that fails is dropped: logging never stops the member.
 */
#ifndef OS_LOG_SINK_H
#define OS_LOG_SINK_H

#include "base/log.h"

enum { OS_LOG_OUTPUTS_MAX = 8 };

enum os_log_format {
    OS_LOG_JSON,
    OS_LOG_CONSOLE,
};

struct os_log_sink;

void os_log_sink_create(enum os_log_format format, struct os_log_sink **out);
/* "default", "stderr", "stdout", "systemd/journal" (stderr, which systemd reads) or a path, opened
 * for append (0666 and umask). ERR_LIMIT, or why opening failed (os_last_text). */
MUST_USE int os_log_sink_add(struct os_log_sink *s, const char *output);
/* Lines of base/log go here from now on. */
void os_log_sink_install(struct os_log_sink *s, enum log_level min);
/* Removes itself from base/log if installed; closes the files. */
void os_log_sink_destroy(struct os_log_sink *s);

/* "debug".. "fatal" -> *out; ERR_INVALID. */
MUST_USE int os_log_level_parse(const char *name, enum log_level *out);

/* One line with its newline appended to out; wall_ns is its time (tests). */
void os_log_format_line(struct buf *out, enum os_log_format format, const struct log_line *line,
                        int64_t wall_ns);

#endif
