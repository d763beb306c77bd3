/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/print_text: what the tools need of text beside base/gotext: blanks and widths of UTF-8, bytes
 * in hex, parsers that give Go's error text.
 *
 * Thread      any.  Appends to out; no failure but the end of memory.
 * See         test/unit/cmd/print_text_test.c
 */
#ifndef CMD_PRINT_TEXT_H
#define CMD_PRINT_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/gotext.h"
#include "base/slice.h"

/* %q of one character: single quotes. */
void text_quote_rune(struct buf *out, uint32_t rune);
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

/* On failure ERR_INVALID and Go's error text appended to reason:
 * strconv.ParseInt: parsing "x": invalid syntax. */
MUST_USE int text_parse_i64(struct slice s, int base, int64_t *out, struct buf *reason);
MUST_USE int text_parse_u64(struct slice s, int base, uint64_t *out, struct buf *reason);
MUST_USE int text_parse_bool(struct slice s, bool *out, struct buf *reason);
/* Nanoseconds. */
MUST_USE int text_parse_duration(struct slice s, int64_t *out_ns, struct buf *reason);

#endif
