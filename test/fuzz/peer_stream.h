/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream of a peer: whole or in any pieces (their lengths are the input's first bytes) the same
 * messages come out, or the same error.
 */
#ifndef FUZZ_PEER_STREAM_H
#define FUZZ_PEER_STREAM_H

#include "peer/frame.h"

struct seen {
    struct buf bytes;
    size_t count;
};

static int on_message(void *arg, const struct raft_message *m)
{
    struct seen *s = arg;
    s->count++;
    struct peer_snapshot_part part = {.meta = m->snapshot == NULL ? NULL : &m->snapshot->meta};
    peer_message_encode(&s->bytes, m, m->snapshot == NULL ? NULL : &part, level_rules(LEVEL_3_6));
    return 0;
}

static void decoder_make(struct peer_decoder *d, enum peer_channel channel, struct seen *s)
{
    peer_decoder_init(d, channel);
    d->from = 2;
    d->to = 1;
    d->on_message = on_message;
    d->arg = s;
}

static int peer_stream_fuzz(enum peer_channel channel, const uint8_t *data, size_t size)
{
    enum { CUTS = 4 };
    if (size < CUTS) {
        return 0;
    }
    struct slice in = slice_make(data + CUTS, size - CUTS);
    struct seen whole = {.bytes = BUF_INIT}, cut = {.bytes = BUF_INIT};
    struct peer_decoder d;
    decoder_make(&d, channel, &whole);
    int whole_err = peer_decoder_feed(&d, in);
    peer_decoder_deinit(&d);
    decoder_make(&d, channel, &cut);
    int cut_err = 0;
    for (size_t i = 0; in.len > 0 && cut_err == 0; i++) {
        size_t n = 1 + data[i % CUTS];
        n = n < in.len ? n : in.len;
        cut_err = peer_decoder_feed(&d, slice_make(in.data, n));
        in = slice_skip(in, n);
    }
    peer_decoder_deinit(&d);
    ensure(whole_err == cut_err && whole.count == cut.count);
    ensure(slice_equal(buf_slice(&whole.bytes), buf_slice(&cut.bytes)));
    buf_deinit(&whole.bytes);
    buf_deinit(&cut.bytes);
    return 0;
}

#endif
