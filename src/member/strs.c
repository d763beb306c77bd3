/* SPDX-License-Identifier: Apache-2.0
 *
 * member/strs: see strs.h.
 */
#include "member/strs.h"

#include <stdlib.h>

#include "base/json.h"

void strs_deinit(struct strs *s)
{
    for (size_t i = 0; i < s->count; i++) {
        mem_free(s->items[i]);
    }
    mem_free(s->items);
    *s = (struct strs){NULL, 0};
}

void strs_add(struct strs *s, struct slice text)
{
    s->items = mem_realloc(s->items, (s->count + 1) * sizeof(s->items[0]));
    s->items[s->count++] = mem_strndup(text.data, text.len);
}

void strs_copy(struct strs *out, const struct strs *from)
{
    *out = (struct strs){NULL, 0};
    for (size_t i = 0; i < from->count; i++) {
        strs_add(out, slice_cstr(from->items[i]));
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strs_sort(struct strs *s)
{
    if (s->count > 1) {
        qsort(s->items, s->count, sizeof(s->items[0]), compare);
    }
}

bool strs_contains(const struct strs *s, const char *text)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}

bool strs_equal(const struct strs *a, const struct strs *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0) {
            return false;
        }
    }
    return true;
}

void strs_join(struct buf *out, const struct strs *s, const char *separator)
{
    for (size_t i = 0; i < s->count; i++) {
        buf_append_cstr(out, i == 0 ? "" : separator);
        buf_append_cstr(out, s->items[i]);
    }
}

void strs_quote(struct buf *out, const struct strs *s)
{
    buf_append_byte(out, '[');
    for (size_t i = 0; i < s->count; i++) {
        buf_printf(out, "%s\"%s\"", i == 0 ? "" : " ", s->items[i]);
    }
    buf_append_byte(out, ']');
}

void strs_json(struct buf *out, const struct strs *s)
{
    buf_append_byte(out, '[');
    for (size_t i = 0; i < s->count; i++) {
        buf_append_cstr(out, i == 0 ? "" : ",");
        json_put_go_string(out, slice_cstr(s->items[i]));
    }
    buf_append_byte(out, ']');
}
