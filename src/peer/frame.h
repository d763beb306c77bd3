/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/frame: the two streams as bytes: "message" (length, Message) and "msgapp" (msgappv2).
 *
 *     message   u64be len, Message                  ...
 *     msgapp    00                                  link heartbeat
 *               01 u64be n, n x (u64be len, Entry), u64be commit
 *                                                   continues at the position both ends remember
 *               02 u64be len, Message               whole; sets the position
 *
 * Design      Frames are read where they lie; only what a read cut in two is gathered. The scan of
 *             a 01 frame goes on where it stopped, so that a frame that comes in crumbs costs no
 *             more than its length.
 * Ownership   A message given to on_message is borrowed for the call (entry data: counted).
 * Thread      any, one at a time. Limits LIMIT_PEER_FRAME_BYTES, PEER_ENTRIES_MAX.
 * Failure     any error is the end of the stream: ERR_MALFORMED, ERR_TOO_LARGE, ERR_LIMIT,
 *             ERR_NOMEM.
 * See         peer-protocol 2.6, 2.7; test/unit/peer/frame_test.c; test/fuzz/peer_*_fuzz.c.
 */
#ifndef PEER_FRAME_H
#define PEER_FRAME_H

#include "peer/message.h"
#include "peer/peer.h"

/* Where both ends of a msgapp connection are; zero at its start. */
struct peer_position {
    raft_term term;
    raft_index index;
};

void peer_frame_message(struct buf *out, const struct raft_message *m,
                        const struct level_rules *rules);
/* MsgApp only. */
void peer_frame_msgapp(struct buf *out, struct peer_position *pos, const struct raft_message *m,
                       const struct level_rules *rules);
void peer_frame_link_heartbeat(struct buf *out, enum peer_channel channel,
                               const struct level_rules *rules);

struct peer_decoder {
    enum peer_channel channel;
    uint64_t from; /* of messages in 01 frames */
    uint64_t to;
    struct peer_position pos;
    struct buf held;
    struct peer_decoded message;
    /* Not 0 ends the stream. */
    int (*on_message)(void *arg, const struct raft_message *m);
    void *arg;
    /* The 01 frame at hand: where the scan is, entries not yet seen. */
    size_t scan_at;
    uint64_t scan_left;
};

/* arg, from, to, on_message are set by the caller before or after. */
void peer_decoder_init(struct peer_decoder *d, enum peer_channel channel);
void peer_decoder_deinit(struct peer_decoder *d);
/* Calls on_message for every complete frame but link heartbeats and what raft does not know. */
MUST_USE int peer_decoder_feed(struct peer_decoder *d, struct slice bytes);

#endif
