/* SPDX-License-Identifier: Apache-2.0
 *
 * member/strs: an owned list of NUL-terminated strings.
 */
#ifndef MEMBER_STRS_H
#define MEMBER_STRS_H

#include "base/buf.h"

struct strs {
    char **items;
    size_t count;
};

void strs_deinit(struct strs *s);
/* Copies the text. */
void strs_add(struct strs *s, struct slice text);
void strs_copy(struct strs *out, const struct strs *from);
/* Bytewise. */
void strs_sort(struct strs *s);
bool strs_contains(const struct strs *s, const char *text);
bool strs_equal(const struct strs *a, const struct strs *b);
/* a,b,c */
void strs_join(struct buf *out, const struct strs *s, const char *separator);
/* Go's %q of a []string: ["a" "b"]. */
void strs_quote(struct buf *out, const struct strs *s);
/* ["a","b"] with Go's escapes. */
void strs_json(struct buf *out, const struct strs *s);

#endif
