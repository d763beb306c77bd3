/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/watch_event: a stored record as an Event message, with and without the state before it.
 */
#include "base/bytes.h"
#include "base/err.h"
#include "mvcc/watch_hub.h"
#include "wire/watch.h"

enum { EVENTS_TAG = WIRE_WATCH_EVENTS << 3 | 2, EVENTS_MIN = 16 };

bool watch_event_add(struct watch_events *es, struct backend_rev rev, struct slice stored)
{
    struct wire_kv kv;
    if (wire_kv_decode(stored, &kv) != 0) {
        return false;
    }
    if (es->len == es->cap) {
        es->cap = es->cap == 0 ? EVENTS_MIN : es->cap * 2;
        es->at = mem_realloc(es->at, es->cap * sizeof(*es->at));
    }
    es->at[es->len++] = (struct watch_event){
        .rev = rev,
        .stored = stored,
        .key = kv.key,
        .is_create = !rev.is_tombstone && kv.create_revision == kv.mod_revision,
    };
    return true;
}

void watch_events_clear(struct watch_events *es)
{
    for (size_t i = 0; i < es->len; i++) {
        rcbuf_unref(es->at[i].plain);
        rcbuf_unref(es->at[i].full);
    }
    es->len = 0;
}

void watch_events_deinit(struct watch_events *es)
{
    watch_events_clear(es);
    mem_free(es->at);
    *es = (struct watch_events){.at = NULL};
}

static struct rcbuf *encode(const struct watch_event *e, const struct slice *prev)
{
    struct buf tombstone = BUF_INIT;
    struct slice kv = e->stored;
    if (e->rev.is_tombstone) {
        struct wire_kv k = {.key = e->key, .mod_revision = e->rev.main};
        buf_reserve(&tombstone, wire_kv_size(&k));
        wire_kv_encode(&k, tombstone.data);
        kv = slice_make(tombstone.data, wire_kv_size(&k));
    }
    enum wire_event_type type = e->rev.is_tombstone ? WIRE_EVENT_DELETE : WIRE_EVENT_PUT;
    size_t len = wire_event_size(type, kv.len, prev);
    struct rcbuf *b = rcbuf_create(1 + VARINT_BYTES_MAX + len);
    b->data[0] = EVENTS_TAG;
    size_t head = 1 + varint_put(b->data + 1, len);
    wire_event_encode(type, kv, prev, b->data + head);
    b->len = head + len;
    buf_deinit(&tombstone);
    return b;
}

/* Where the state before the event is; known once. */
static void prev_find(const struct mvcc_store *s, struct watch_event *e)
{
    struct keyrec_state state;
    int64_t at = e->rev.main - 1;
    e->prev_state = WATCH_PREV_NONE;
    if (!e->is_create && at >= s->compact_rev && keyindex_get(&s->index, e->key, at, &state)) {
        e->prev_rev = (struct backend_rev){state.main, state.sub, false};
        e->prev_state = WATCH_PREV_COLD;
    }
}

static int prev_encode(const struct mvcc_store *s, struct watch_event *e)
{
    if (e->prev_state == WATCH_PREV_HERE) {
        e->full = encode(e, &e->prev);
        return 0;
    }
    struct backend_record record;
    int err = backend_record_get(s->opts.backend, e->prev_rev, &record);
    if (err == ERR_NOT_FOUND) {
        /* Compacted since the event was read. */
        e->prev_state = WATCH_PREV_NONE;
        return 0;
    }
    if (err == 0) {
        e->full = encode(e, &record.value);
        backend_record_release(&record);
    }
    return err;
}

int watch_event_encoded(const struct mvcc_store *s, struct watch_event *e, bool wants_prev,
                        struct rcbuf **out)
{
    if (wants_prev && e->prev_state == WATCH_PREV_UNKNOWN) {
        prev_find(s, e);
    }
    if (wants_prev && e->full == NULL && e->prev_state != WATCH_PREV_NONE) {
        int err = prev_encode(s, e);
        if (err != 0) {
            return err;
        }
    }
    if (wants_prev && e->full != NULL) {
        *out = e->full;
        return 0;
    }
    if (e->plain == NULL) {
        e->plain = encode(e, NULL);
    }
    *out = e->plain;
    return 0;
}
