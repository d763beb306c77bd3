/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/plan_send: carrying a plan out: stored bytes behind tag and length, nothing is encoded
 * again.
 *
 * Design      The plan stands at a byte of an item, so any sink size goes.  When the next record is
 *             not in memory a slice is cut: the bytes of the next items at their final places, what
 *             is warm copied at once, what is cold left as holes for a work thread.
 */
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "mvcc/store.h"

enum { TAG_KVS = 0x12, TAG_MORE = 0x18, TAG_COUNT = 0x20 };
enum { ITEM_HEAD_MAX = 1 + VARINT_BYTES_MAX, ITEMS_MIN = 16, SLICE_ITEMS_MAX = 65536 };

/* ---- items ---- */

void plan_items_add(struct mvcc_plan *plan, struct mvcc_item item)
{
    if (plan->items_len == plan->items_cap) {
        plan->items_cap = plan->items_cap == 0 ? ITEMS_MIN : plan->items_cap * 2;
        plan->items = mem_realloc(plan->items, plan->items_cap * sizeof(*plan->items));
    }
    plan->items[plan->items_len++] = item;
}

static struct wire_kv key_kv(struct slice key, const struct keyrec_state *s, int64_t lease)
{
    return (struct wire_kv){key, s->create_rev, s->main, s->version, SLICE_NULL, lease};
}

size_t plan_kv_size(struct slice key, const struct keyrec_state *state)
{
    struct wire_kv kv = key_kv(key, state, 0);
    return wire_kv_size(&kv);
}

size_t plan_kv_append(struct buf *out, struct slice key, const struct keyrec_state *state,
                      int64_t lease)
{
    struct wire_kv kv = key_kv(key, state, lease);
    size_t len = wire_kv_size(&kv);
    wire_kv_encode(&kv, buf_extend(out, len));
    return len;
}

static size_t item_head(const struct mvcc_item *item, uint8_t out[ITEM_HEAD_MAX])
{
    out[0] = TAG_KVS;
    return 1 + varint_put(out + 1, item->len);
}

size_t mvcc_plan_trailer(const struct mvcc_plan *plan, uint8_t out[MVCC_TRAILER_MAX])
{
    size_t n = 0;
    if (plan->more) {
        out[n++] = TAG_MORE;
        out[n++] = 1;
    }
    if (plan->count > 0) {
        out[n++] = TAG_COUNT;
        n += varint_put(out + n, (uint64_t)plan->count);
    }
    return n;
}

void plan_totals_set(struct mvcc_plan *plan)
{
    uint8_t trailer[MVCC_TRAILER_MAX];
    plan->body_bytes = plan->kvs_bytes + mvcc_plan_trailer(plan, trailer);
}

/* ---- sending ---- */

static void sink_put(struct mvcc_sink *sink, const uint8_t *src, size_t len, size_t *offset)
{
    size_t room = sink->cap - sink->len;
    size_t n = len - *offset < room ? len - *offset : room;
    if (n > 0) {
        memcpy(sink->data + sink->len, src + *offset, n);
    }
    sink->len += n;
    *offset += n;
}

/* The bytes of the item being sent; out_ref is to be released. */
static int item_bytes(const struct mvcc_plan *p, const struct mvcc_item *item,
                      struct value_ref *out_ref)
{
    if (p->keys_only) {
        *out_ref = (struct value_ref){.bytes = {p->kv_bytes.data + p->kv_at, item->len}};
        return 0;
    }
    int err = value_get(p->store, p->values, item->main, item->sub, out_ref);
    if (err == 0 && out_ref->bytes.len != item->len) {
        value_release(out_ref);
        err = ERR_CORRUPT;
    }
    return err;
}

static void item_done(struct mvcc_plan *p)
{
    if (p->keys_only) {
        p->kv_at += p->items[p->item_at].len;
    }
    p->item_at++;
    p->emitted++;
    p->item_offset = 0;
}

static int item_send(struct mvcc_plan *p, struct mvcc_sink *sink)
{
    const struct mvcc_item *item = &p->items[p->item_at];
    uint8_t head[ITEM_HEAD_MAX];
    size_t head_len = item_head(item, head);
    struct value_ref ref;
    int err = item_bytes(p, item, &ref);
    if (err != 0) {
        return err;
    }
    if (p->item_offset < head_len) {
        sink_put(sink, head, head_len, &p->item_offset);
    }
    if (p->item_offset >= head_len) {
        size_t at = p->item_offset - head_len;
        sink_put(sink, ref.bytes.data, item->len, &at);
        p->item_offset = head_len + at;
    }
    value_release(&ref);
    if (p->item_offset < head_len + item->len) {
        return ERR_AGAIN;
    }
    item_done(p);
    return 0;
}

static bool has_item(struct mvcc_plan *p)
{
    if (p->emitted >= p->item_count || p->emitted >= p->stop_at) {
        return false;
    }
    plan_load(p, 1);
    ensure(p->item_at < p->items_len);
    return true;
}

int mvcc_plan_next(struct mvcc_plan *plan, struct mvcc_sink *sink)
{
    ensure(plan->is_built && !plan->needs_values);
    while (has_item(plan)) {
        int err = item_send(plan, sink);
        if (err != 0) {
            return err;
        }
    }
    if (plan->is_chunked) {
        return 0;
    }
    uint8_t trailer[MVCC_TRAILER_MAX];
    size_t len = mvcc_plan_trailer(plan, trailer);
    sink_put(sink, trailer, len, &plan->trailer_at);
    return plan->trailer_at < len ? ERR_AGAIN : 0;
}

/* ---- slices ---- */

struct hole {
    int64_t main;
    uint32_t sub;
    uint32_t len;
    size_t at;
};

struct mvcc_slice {
    struct buf bytes;
    struct hole *holes;
    size_t holes_len;
    size_t holes_cap;
    size_t holes_done;
    size_t skip; /* bytes of the first item that were sent before */
};

static void hole_add(struct mvcc_slice *s, const struct mvcc_item *item)
{
    if (s->holes_len == s->holes_cap) {
        s->holes_cap = s->holes_cap == 0 ? ITEMS_MIN : s->holes_cap * 2;
        s->holes = mem_realloc(s->holes, s->holes_cap * sizeof(*s->holes));
    }
    s->holes[s->holes_len++] = (struct hole){item->main, item->sub, item->len, s->bytes.len};
    (void)buf_extend(&s->bytes, item->len);
}

static int slice_take(struct mvcc_plan *p, struct mvcc_slice *s)
{
    const struct mvcc_item *item = &p->items[p->item_at];
    uint8_t head[ITEM_HEAD_MAX];
    struct value_ref ref;
    int err = item_bytes(p, item, &ref);
    if (err != 0 && err != ERR_COLD) {
        return err;
    }
    buf_append(&s->bytes, head, item_head(item, head));
    if (err == ERR_COLD) {
        hole_add(s, item);
    } else {
        buf_append_slice(&s->bytes, ref.bytes);
        value_release(&ref);
    }
    item_done(p);
    return 0;
}

int mvcc_plan_slice(struct mvcc_plan *plan, size_t bytes_max, struct mvcc_slice **out)
{
    ensure(plan->is_built && !plan->needs_values);
    if (!has_item(plan)) {
        return ERR_END;
    }
    struct mvcc_slice *s = mem_zalloc(sizeof(*s));
    s->skip = plan->item_offset;
    size_t count = 0;
    while (count < SLICE_ITEMS_MAX && has_item(plan)) {
        size_t len = (size_t)plan->items[plan->item_at].len + ITEM_HEAD_MAX;
        if (count > 0 && s->bytes.len + len > bytes_max) {
            break;
        }
        int err = slice_take(plan, s);
        if (err != 0) {
            mvcc_slice_destroy(s);
            return err;
        }
        count++;
    }
    *out = s;
    return 0;
}

int mvcc_slice_read(struct mvcc_slice *slice, struct backend_view *view)
{
    for (; slice->holes_done < slice->holes_len; slice->holes_done++) {
        const struct hole *h = &slice->holes[slice->holes_done];
        struct backend_record record;
        int err =
            backend_view_record_get(view, (struct backend_rev){h->main, h->sub, false}, &record);
        if (err != 0) {
            return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        }
        bool is_right = record.value.len == h->len;
        if (is_right && h->len > 0) {
            memcpy(slice->bytes.data + h->at, record.value.data, h->len);
        }
        backend_record_release(&record);
        if (!is_right) {
            return ERR_CORRUPT;
        }
    }
    return 0;
}

struct slice mvcc_slice_bytes(const struct mvcc_slice *slice)
{
    ensure(slice->holes_done == slice->holes_len);
    return slice_skip(buf_slice(&slice->bytes), slice->skip);
}

void mvcc_slice_destroy(struct mvcc_slice *slice)
{
    if (slice != NULL) {
        buf_deinit(&slice->bytes);
        mem_free(slice->holes);
        mem_free(slice);
    }
}

/* ---- RangeStream ---- */

static uint64_t stream_limit_next(uint64_t limit, uint64_t chunk_bytes, uint64_t target)
{
    if (chunk_bytes < target / 2) {
        limit *= 2;
    } else if (chunk_bytes > target * 2) {
        limit /= 2;
    }
    limit = limit < 1 ? 1 : limit;
    return limit > MVCC_STREAM_ITEMS_MAX ? MVCC_STREAM_ITEMS_MAX : limit;
}

void mvcc_plan_chunk(struct mvcc_plan *plan, uint64_t max_request_bytes, struct mvcc_chunk *out)
{
    ensure(plan->is_built && !plan->needs_values && plan->item_offset == 0);
    uint64_t left = plan->item_count - plan->emitted;
    uint64_t count = left < plan->stream_limit ? left : plan->stream_limit;
    plan_load(plan, count);
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < count; i++) {
        const struct mvcc_item *item = &plan->items[plan->item_at + i];
        bytes += 1 + varint_len(item->len) + item->len;
    }
    plan->is_chunked = true;
    plan->stop_at = plan->emitted + count;
    plan->stream_limit = stream_limit_next(plan->stream_limit, bytes, max_request_bytes);
    *out = (struct mvcc_chunk){count, bytes, count == left};
}

struct backend *mvcc_plan_backend(const struct mvcc_plan *plan)
{
    return plan->store->opts.backend;
}
