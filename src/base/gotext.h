/* SPDX-License-Identifier: Apache-2.0
 *
 * base/gotext: text as Go's standard library reads and writes it, where a user or a script can see
 * it: numbers, booleans, durations, quoting, sizes, JSON strings, base64.
 *
 * Problem     Command lines, config files, JSON and metrics of etcd show Go's exact forms and texts
 *             (cli.md); C's library has other rules for each.
 * Design      Pure functions: parsers take a slice and fill an out value, writers append to a buf.
 *             Go's time.Duration.String() is log_duration (base/log.h).
 * Failure     Parsers return 0, ERR_MALFORMED (Go's ErrSyntax) or ERR_TOO_LARGE (ErrRange); out
 *             values are untouched then.  gotext_*_error append Go's error text for such a result.
 * Thread      any.
 * See         test/unit/base/gotext_test.c, whose tables were printed by Go programs.
 */
#ifndef BASE_GOTEXT_H
#define BASE_GOTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* strconv.ParseInt / ParseUint.  base 2..36, or 0: by prefix 0x, 0o, 0b, 0 and with `_` between
 * digits.  bits 1..64. */
MUST_USE int gotext_parse_int(struct slice s, int base, int bits, int64_t *out);
MUST_USE int gotext_parse_uint(struct slice s, int base, int bits, uint64_t *out);
/* strconv.ParseBool: 1 t T TRUE true True 0 f F FALSE false False. */
MUST_USE int gotext_parse_bool(struct slice s, bool *out);
/* `strconv.ParseInt: parsing "x": invalid syntax` (or `value out of range`); func as "ParseInt". */
void gotext_num_error(struct buf *out, const char *func, struct slice s, int err);

/* time.ParseDuration, in nanoseconds. */
MUST_USE int gotext_parse_duration(struct slice s, int64_t *out_ns);
/* Its error text for s: `time: missing unit in duration "5"`, ...; nothing when s is good. */
void gotext_duration_error(struct buf *out, struct slice s);

/* strconv.Quote, fmt's %q. */
void gotext_quote(struct buf *out, struct slice s);
/* strconv.IsPrint. */
bool gotext_is_print(uint32_t rune);
/* strconv.QuotedPrefix: length of the Go string, raw string or character literal that s begins
 * with. */
MUST_USE int gotext_quoted_prefix(struct slice s, size_t *out_len);
/* strconv.Unquote of a whole literal: "..." with escapes, `...` raw, '.' one character; appends
 * only when it is good. */
MUST_USE int gotext_unquote(struct slice s, struct buf *out);

/* strconv.FormatFloat(v, 'g', -1, 64), fmt's %v. */
void gotext_float(struct buf *out, double v);
/* encoding/json's form; v must be finite. */
void gotext_json_float(struct buf *out, double v);
/* humanize.Bytes: "1.4 MB", "25 kB". */
void gotext_size(struct buf *out, uint64_t bytes);

/* encoding/json's string with quotes: < > & as \u003c ..., U+2028/9 escaped, invalid UTF-8 as
 * \ufffd. */
void gotext_json_string(struct buf *out, struct slice s);

/* The six bits of a digit of base64.StdEncoding, -1 for any other byte. */
int gotext_base64_value(uint8_t c);
/* base64.StdEncoding; decoding skips CR and LF as Go does. */
void gotext_base64(struct buf *out, struct slice s);
MUST_USE int gotext_base64_decode(struct slice s, struct buf *out);

#endif
