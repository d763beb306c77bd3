/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/print_text: text in the forms that Go's standard library gives it, because the tools' output
 * is compared and parsed (cli.md top rules, 2.5).
 *
 * Thread      any.  Appends to out; no failure but the end of memory.
 * See         test/unit/cmd/print_text_test.c
 */
#ifndef CMD_PRINT_TEXT_H
#define CMD_PRINT_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* %q: double quotes, escapes for what is not printable, bad UTF-8 as \x... */
void text_quote(struct buf *out, struct slice s);
/* %q of one character: single quotes. */
void text_quote_rune(struct buf *out, uint32_t rune);
/* encoding/json: with quotes; <, >, &, U+2028, U+2029 escaped, bad UTF-8 becomes \ufffd. */
void text_json(struct buf *out, struct slice s);
void text_base64(struct buf *out, struct slice s);
/* 0 B, 999 B, 1.4 MB, 25 kB. */
void text_human_bytes(struct buf *out, uint64_t n);
/* \x66\x6f for every byte. */
void text_hex_bytes(struct buf *out, struct slice s);

/* Decodes one character; returns its length in bytes, 1 with *out_rune = 0xfffd and *out_ok false
 * for a bad byte.  s must not be empty. */
size_t text_rune(struct slice s, uint32_t *out_rune, bool *out_ok);
void text_append_rune(struct buf *out, uint32_t rune);
/* unicode.IsSpace. */
bool text_is_space(uint32_t rune);
/* strings.TrimSpace. */
struct slice text_trim(struct slice s);
/* Characters, not bytes. */
size_t text_width(struct slice s);

/* strconv.Unquote of a "..." or `...` literal (with its quotes): false for bad syntax. */
bool text_unquote(struct slice literal, struct buf *out);

/* strconv.ParseInt / ParseUint; on failure ERR_INVALID and Go's error text appended to reason
 * (strconv.ParseInt: parsing "x": invalid syntax).  base 0 takes 0x, 0o, 0b and '_'. */
MUST_USE int text_parse_i64(struct slice s, int base, int64_t *out, struct buf *reason);
MUST_USE int text_parse_u64(struct slice s, int base, uint64_t *out, struct buf *reason);
MUST_USE int text_parse_bool(struct slice s, bool *out, struct buf *reason);
/* time.ParseDuration, nanoseconds. */
MUST_USE int text_parse_duration(struct slice s, int64_t *out_ns, struct buf *reason);

#endif
