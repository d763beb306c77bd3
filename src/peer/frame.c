/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/frame: see frame.h.
 */
#include "peer/frame.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "wal/raftpb.h"

enum {
    FRAME_HEARTBEAT = 0,
    FRAME_ENTRIES = 1,
    FRAME_MESSAGE = 2,
    LEN_BYTES = 8,
    HELD_KEPT = 1 << 20, /* a bigger buffer is given back once empty */
};

/* ---- encoding ---------------------------------------------------------------------------------
 */

static void put_be64(struct buf *out, uint64_t v)
{
    store_be64(buf_extend(out, LEN_BYTES), v);
}

void peer_frame_message(struct buf *out, const struct raft_message *m,
                        const struct level_rules *rules)
{
    put_be64(out, 0);
    size_t at = out->len;
    peer_message_encode(out, m, NULL, rules);
    store_be64(out->data + at - LEN_BYTES, out->len - at);
}

static void put_entries(struct buf *out, const struct raft_message *m, enum raftpb_emission em)
{
    put_be64(out, m->entry_count);
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        uint8_t head[RAFTPB_ENTRY_HEAD_MAX];
        size_t n = raftpb_entry_head(e, em, head);
        put_be64(out, n + e->data.len);
        buf_append(out, head, n);
        buf_append_slice(out, e->data);
    }
    put_be64(out, m->commit);
}

/* What both ends do with a whole message. */
static void position_set(struct peer_position *pos, const struct raft_message *m)
{
    pos->term = m->term;
    pos->index = m->entry_count > 0 ? m->entries[m->entry_count - 1].index : m->index;
}

void peer_frame_msgapp(struct buf *out, struct peer_position *pos, const struct raft_message *m,
                       const struct level_rules *rules)
{
    ensure(m->type == RAFT_MSG_APP);
    if (pos->index == m->index && pos->term == m->log_term && m->log_term == m->term) {
        buf_append_byte(out, FRAME_ENTRIES);
        put_entries(out, m, rules->emission);
        pos->index += m->entry_count;
        return;
    }
    buf_append_byte(out, FRAME_MESSAGE);
    peer_frame_message(out, m, rules);
    position_set(pos, m);
}

void peer_frame_link_heartbeat(struct buf *out, enum peer_channel channel,
                               const struct level_rules *rules)
{
    if (channel == PEER_CHANNEL_MSGAPP) {
        buf_append_byte(out, FRAME_HEARTBEAT);
        return;
    }
    struct raft_message m = {.type = RAFT_MSG_HEARTBEAT};
    peer_frame_message(out, &m, rules);
}

/* ---- decoding ---------------------------------------------------------------------------------
 */

void peer_decoder_init(struct peer_decoder *d, enum peer_channel channel)
{
    *d = (struct peer_decoder){.channel = channel};
    peer_decoded_init(&d->message);
    buf_init(&d->held);
}

void peer_decoder_deinit(struct peer_decoder *d)
{
    peer_decoded_deinit(&d->message);
    buf_deinit(&d->held);
}

/* *out_size: the frame's length, or 0 when in holds only a part of it. */
static int sized_frame(struct slice in, size_t head, size_t *out_size)
{
    *out_size = 0;
    if (in.len < head + LEN_BYTES) {
        return 0;
    }
    uint64_t len = load_be64(in.data + head);
    if (len > LIMIT_PEER_FRAME_BYTES) {
        return ERR_TOO_LARGE;
    }
    if (in.len >= head + LEN_BYTES + len) {
        *out_size = head + LEN_BYTES + (size_t)len;
    }
    return 0;
}

static int entries_scan_begin(struct peer_decoder *d, struct slice in)
{
    uint64_t n = load_be64(in.data + 1);
    if (n > PEER_ENTRIES_MAX) {
        return ERR_LIMIT;
    }
    d->scan_left = n;
    d->scan_at = 1 + LEN_BYTES;
    return 0;
}

static int entries_frame(struct peer_decoder *d, struct slice in, size_t *out_size)
{
    *out_size = 0;
    if (d->scan_at == 0) {
        if (in.len < 1 + LEN_BYTES) {
            return 0;
        }
        int err = entries_scan_begin(d, in);
        if (err != 0) {
            return err;
        }
    }
    while (d->scan_left > 0) {
        size_t room = in.len - d->scan_at;
        if (room < LEN_BYTES) {
            return 0;
        }
        uint64_t len = load_be64(in.data + d->scan_at);
        if (len > LIMIT_PEER_FRAME_BYTES || d->scan_at + len > LIMIT_PEER_FRAME_BYTES) {
            return ERR_TOO_LARGE;
        }
        if (room - LEN_BYTES < len) {
            return 0;
        }
        d->scan_at += LEN_BYTES + (size_t)len;
        d->scan_left--;
    }
    if (in.len - d->scan_at >= LEN_BYTES) {
        *out_size = d->scan_at + LEN_BYTES;
        d->scan_at = 0;
    }
    return 0;
}

static int frame_size(struct peer_decoder *d, struct slice in, size_t *out_size)
{
    if (d->channel == PEER_CHANNEL_MESSAGE) {
        return sized_frame(in, 0, out_size);
    }
    switch (in.data[0]) {
    case FRAME_HEARTBEAT: *out_size = 1; return 0;
    case FRAME_ENTRIES: return entries_frame(d, in, out_size);
    case FRAME_MESSAGE: return sized_frame(in, 1, out_size);
    default: return ERR_MALFORMED;
    }
}

static int entries_read(struct peer_decoder *d, struct slice frame)
{
    struct peer_decoded *out = &d->message;
    peer_decoded_clear(out);
    uint64_t n = load_be64(frame.data + 1);
    size_t at = 1 + LEN_BYTES;
    for (uint64_t i = 0; i < n; i++) {
        size_t len = (size_t)load_be64(frame.data + at);
        int err = peer_entries_add(&out->entries, slice_make(frame.data + at + LEN_BYTES, len));
        if (err != 0) {
            return err;
        }
        at += LEN_BYTES + len;
    }
    out->m = (struct raft_message){
        .type = RAFT_MSG_APP,
        .from = d->from,
        .to = d->to,
        .term = d->pos.term,
        .log_term = d->pos.term,
        .index = d->pos.index,
        .commit = load_be64(frame.data + at),
        .entries = out->entries.items,
        .entry_count = out->entries.count,
    };
    d->pos.index += n;
    return 0;
}

static bool is_link_heartbeat(const struct raft_message *m)
{
    return m->type == RAFT_MSG_HEARTBEAT && m->from == 0 && m->to == 0;
}

static int deliver(struct peer_decoder *d, struct slice frame)
{
    int err = peer_decoded_own(&d->message, frame);
    if (err == 0) {
        err = d->on_message(d->arg, &d->message.m);
    }
    peer_decoded_clear(&d->message);
    return err;
}

static int frame_read(struct peer_decoder *d, struct slice frame)
{
    if (d->channel == PEER_CHANNEL_MSGAPP && frame.data[0] == FRAME_HEARTBEAT) {
        return 0;
    }
    if (d->channel == PEER_CHANNEL_MSGAPP && frame.data[0] == FRAME_ENTRIES) {
        int err = entries_read(d, frame);
        return err != 0 ? err : deliver(d, frame);
    }
    size_t head = d->channel == PEER_CHANNEL_MSGAPP ? 1 + LEN_BYTES : LEN_BYTES;
    int err = peer_message_decode(slice_skip(frame, head), &d->message);
    if (d->channel == PEER_CHANNEL_MSGAPP && err == 0) {
        position_set(&d->pos, &d->message.m);
    }
    if (err == ERR_UNSUPPORTED || (err == 0 && is_link_heartbeat(&d->message.m))) {
        return 0;
    }
    return err != 0 ? err : deliver(d, frame);
}

/* *out_used: bytes of the complete frames at the front. */
static int frames_read(struct peer_decoder *d, struct slice in, size_t *out_used)
{
    size_t at = 0;
    int err = 0;
    while (at < in.len) {
        size_t size = 0;
        err = frame_size(d, slice_skip(in, at), &size);
        if (err != 0 || size == 0) {
            break;
        }
        err = frame_read(d, slice_make(in.data + at, size));
        at += size;
        if (err != 0) {
            break;
        }
    }
    *out_used = at;
    return err;
}

static int hold(struct peer_decoder *d, struct slice bytes)
{
    int err = bytes.len == 0 ? 0 : buf_try_reserve(&d->held, bytes.len);
    if (err == 0) {
        buf_append_slice(&d->held, bytes);
    }
    return err;
}

int peer_decoder_feed(struct peer_decoder *d, struct slice bytes)
{
    size_t used = 0;
    int err = 0;
    if (d->held.len == 0) {
        err = frames_read(d, bytes, &used);
        return err != 0 ? err : hold(d, slice_skip(bytes, used));
    }
    err = hold(d, bytes);
    if (err == 0) {
        err = frames_read(d, buf_slice(&d->held), &used);
        buf_consume(&d->held, used);
    }
    if (d->held.len == 0 && d->held.cap > HELD_KEPT) {
        buf_deinit(&d->held);
        buf_init(&d->held);
    }
    return err;
}
