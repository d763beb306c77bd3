/* SPDX-License-Identifier: Apache-2.0
 *
 * bench/load_conn: one HTTP/2 connection of the load generator, as cheap as a client can be.
 *
 * Problem     The generator shares the machine with the server it measures: what it burns, the
 *             server lacks. A general HTTP/2 library costs as much as the whole of a get.
 * Design      Frames are written and read in place, in one buffer each. A request is the indexed
 *             fields of a header block that both sides hold in their tables (what a real gRPC
 *             client sends from its second request on) and one DATA frame. Answers go through
 *             nghttp2's HPACK decoder, so the server may encode as it likes. A stream is a slot
 *             that is used again and again.
 * Ownership   The reply's bytes are borrowed for the call of on_reply.
 * Limits      A request fits into one frame (LOAD_REQUEST_BYTES_MAX).
 * Failure     What the protocol does not allow or this client does not do ends the program with a
 *             sentence: a benchmark that limps on measures nothing.
 */
#ifndef BENCH_LOAD_CONN_H
#define BENCH_LOAD_CONN_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include "base/buf.h"

enum {
    LOAD_REQUEST_BYTES_MAX = 16384 - 5,
    LOAD_PATHS_MAX = 8,
    LOAD_STREAMS_MAX = 256,
    LOAD_REPLY_HEAD_BYTES = 64, /* of a reply are kept: the header and what follows it */
};

/* One stream that is open or about to be. */
struct load_slot {
    uint32_t stream; /* 0: idle */
    uint32_t number; /* of the slot, over all connections */
    uint64_t sent_ns;
    size_t reply_bytes; /* gRPC frame included */
    size_t unacked;     /* of an open stream, since the last window update */
    uint8_t head[LOAD_REPLY_HEAD_BYTES];
    unsigned path; /* of its request */
    unsigned kind; /* the owner's */
    uint64_t note; /* the owner's */
    bool is_ok;    /* grpc-status 0 was seen */
    bool is_open;  /* by load_conn_open_stream */
};

struct load_conn {
    int fd;
    SSL *ssl; /* NULL: plain text */
    const char *authority;
    const char *const *paths;
    /* The answer is complete.  Called while input is read; it may start the next request. */
    void (*on_reply)(struct load_conn *c, struct load_slot *s);
    /* Bytes of a stream that was opened by load_conn_open_stream; NULL: none is. */
    void (*on_data)(struct load_conn *c, struct load_slot *s, struct slice data);
    void *arg;
    struct load_slot *slots;
    unsigned slot_count;
    unsigned open_count; /* the owner's: slots with a request under way */
    struct buf in;
    struct buf out;
    nghttp2_hd_inflater *inflater;
    int path_entry[LOAD_PATHS_MAX]; /* number of its HPACK entry; -1: not sent yet */
    int entry_count;                /* entries put into the server's table */
    uint32_t next_stream;
    int64_t send_window;
    uint64_t unacked; /* bytes received since the last window update */
    char why[256];    /* grpc-message of the last failed call */
};

/* TLS 1.3 with these files; NULL where no certificate of the client is wanted. */
SSL_CTX *load_tls_create(const char *ca, const char *cert, const char *key);
/* Connects (blocking) to "a.b.c.d:port"; the socket is non-blocking afterwards.  tls NULL: plain.
 */
void load_conn_open(struct load_conn *c, const char *endpoint, SSL_CTX *tls, unsigned slot_count,
                    unsigned first_number);
void load_conn_close(struct load_conn *c);
/* Queues a request on an idle slot; message without the gRPC frame. */
void load_conn_send(struct load_conn *c, struct load_slot *s, unsigned path, struct slice message);
/* A stream that stays open on an idle slot, and what is sent on it.  The stream's own window is not
 * kept: at most 32 KiB may be sent that the server has not answered. */
void load_conn_open_stream(struct load_conn *c, struct load_slot *s, unsigned path);
void load_conn_send_more(struct load_conn *c, struct load_slot *s, struct slice message);
/* True while the server's window for the connection lets one more request of this size out. */
bool load_conn_may_send(const struct load_conn *c, size_t bytes);
/* What is queued goes to the kernel; true when all of it went. */
bool load_conn_flush(struct load_conn *c);
/* Asks epoll for input, and for room when something is left to write. */
void load_conn_watch(struct load_conn *c, int epoll_fd, int how, bool wants_write);
/* Writes what can be; was_full: epoll was asked for room. */
void load_conn_push(struct load_conn *c, int epoll_fd, bool was_full);
/* Reads what is there and calls on_reply. */
void load_conn_read(struct load_conn *c);

/* Ends the program with a sentence. */
PRINTF_LIKE(1, 2) _Noreturn void load_die(const char *fmt, ...);

#endif
