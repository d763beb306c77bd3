/* SPDX-License-Identifier: Apache-2.0
 *
 * http/out: see out.h.
 */
#include "http/out.h"

#include <string.h>

#include "base/buf.h"

void http_out_init(struct http_out *o)
{
    memset(o, 0, sizeof(*o));
}

static void free_blocks(struct http_out_block *b)
{
    while (b != NULL) {
        struct http_out_block *next = b->next;
        mem_free(b);
        b = next;
    }
}

void http_out_deinit(struct http_out *o)
{
    http_out_reset(o);
    free_blocks(o->first);
    mem_free(o->parts);
    mem_free(o->refs);
    http_out_init(o);
}

static void refs_drop(struct http_out *o, size_t keep)
{
    while (o->ref_count > keep) {
        rcbuf_unref(o->refs[--o->ref_count]);
    }
}

void http_out_reset(struct http_out *o)
{
    refs_drop(o, 0);
    o->count = 0;
    o->bytes = 0;
    o->cur = o->first;
    if (o->first == NULL) {
        return;
    }
    o->first->used = 0;
    struct http_out_block *b = o->first;
    for (int kept = 1; kept < HTTP_OUT_BLOCKS_KEPT && b->next != NULL; kept++) {
        b = b->next;
    }
    free_blocks(b->next);
    b->next = NULL;
}

static void part_push(struct http_out *o, struct slice s)
{
    if (o->count == o->cap) {
        o->cap = o->cap == 0 ? 64 : o->cap * 2;
        o->parts = mem_realloc(o->parts, o->cap * sizeof(*o->parts));
    }
    ensure(o->parts != NULL);
    o->parts[o->count++] = s;
}

/* The block after cur, empty; made if there is none. */
static void block_next(struct http_out *o)
{
    struct http_out_block *next = o->cur == NULL ? o->first : o->cur->next;
    if (next == NULL) {
        next = mem_alloc(sizeof(*next));
        next->next = NULL;
        if (o->cur == NULL) {
            o->first = next;
        } else {
            o->cur->next = next;
        }
    }
    next->used = 0;
    o->cur = next;
}

uint8_t *http_out_reserve(struct http_out *o, size_t n)
{
    ensure(n <= HTTP_OUT_BLOCK_BYTES);
    if (o->cur == NULL || HTTP_OUT_BLOCK_BYTES - o->cur->used < n) {
        block_next(o);
    }
    uint8_t *p = o->cur->data + o->cur->used;
    o->cur->used += n;
    o->bytes += n;
    struct slice *last = o->count == 0 ? NULL : &o->parts[o->count - 1];
    if (last != NULL && last->data + last->len == p) {
        last->len += n;
    } else {
        part_push(o, slice_make(p, n));
    }
    return p;
}

void http_out_shrink(struct http_out *o, size_t n)
{
    if (n == 0) {
        return;
    }
    ensure(o->count > 0 && o->parts != NULL);
    struct slice *last = &o->parts[o->count - 1];
    ensure(last->len >= n && o->cur->used >= n);
    last->len -= n;
    o->cur->used -= n;
    o->bytes -= n;
    if (last->len == 0) {
        o->count--;
    }
}

void http_out_append(struct http_out *o, struct slice s)
{
    while (s.len > 0) {
        size_t n = s.len < HTTP_OUT_BLOCK_BYTES ? s.len : HTTP_OUT_BLOCK_BYTES;
        memcpy(http_out_reserve(o, n), s.data, n);
        s = slice_skip(s, n);
    }
}

void http_out_append_ref(struct http_out *o, struct slice s, struct rcbuf *owner)
{
    if (s.len == 0) {
        return;
    }
    if (o->ref_count == o->ref_cap) {
        o->ref_cap = o->ref_cap == 0 ? 16 : o->ref_cap * 2;
        o->refs = mem_realloc(o->refs, o->ref_cap * sizeof(struct rcbuf *));
    }
    o->refs[o->ref_count++] = rcbuf_ref(owner);
    part_push(o, s);
    o->bytes += s.len;
}

void http_out_append_borrowed(struct http_out *o, struct slice s)
{
    if (s.len > 0) {
        part_push(o, s);
        o->bytes += s.len;
    }
}

struct http_out_mark http_out_mark(const struct http_out *o)
{
    return (struct http_out_mark){
        .count = o->count,
        .last_len = o->count == 0 ? 0 : o->parts[o->count - 1].len,
        .bytes = o->bytes,
        .ref_count = o->ref_count,
        .cur = o->cur,
        .used = o->cur == NULL ? 0 : o->cur->used,
    };
}

void http_out_rollback(struct http_out *o, struct http_out_mark m)
{
    ensure(m.count <= o->count && m.ref_count <= o->ref_count);
    refs_drop(o, m.ref_count);
    o->count = m.count;
    o->bytes = m.bytes;
    if (m.count > 0) {
        o->parts[m.count - 1].len = m.last_len;
    }
    o->cur = m.cur == NULL ? o->first : m.cur;
    if (o->cur != NULL) {
        o->cur->used = m.used;
    }
}
