/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/internal: the structs of the transport; private to this folder.
 *
 *     peer_transport --- peer --- writer x 2     streams that the peer dialled: our messages to it
 *                    |       |--- reader x 2     streams that we dial: its messages to us
 *                    |       |--- pipeline       POST /raft, up to PEER_PIPES connections
 *                    |       '--- probe          GET /raft/probing
 *                    |--- post_in, page, snap_in requests that came to the listener
 *                    '--- snap_out               POST /raft/snapshot
 *
 * A peer that is removed while one of its events is being told lives on in `dead` until the end of
 * the turn.
 */
#ifndef PEER_INTERNAL_H
#define PEER_INTERNAL_H

#include "base/limits.h"
#include "http/h1.h"
#include "peer/frame.h"
#include "peer/message.h"
#include "peer/pages.h"
#include "peer/peer.h"
#include "peer/queue.h"
#include "rpc/http_client.h"
#include "snap/snap.h"

enum {
    PEER_PIPES = 4,     /* connections of one pipeline */
    PEER_TICK_MS = 500, /* granularity of all that follows but redialling */
    PEER_LINK_HEARTBEAT_MS = 1600,
    PEER_SILENCE_MS = 8000,   /* a dialled stream without a byte for so long is dropped */
    PEER_REDIAL_MIN_MS = 100, /* as etcd */
    PEER_REDIAL_MAX_MS = 800,
    PEER_DIAL_EXTRA_MS = 1000, /* dial timeout = this + election timeout */
    PEER_PROBE_MS = 4000,
    PEER_WRITE_STALL_MS = 5000, /* a stream whose reader takes nothing is ended, as etcd */
    PEER_POST_TIMEOUT_MS = 10000,
    PEER_PIPE_IDLE_MS = 2000,         /* below the 5 s after which Go listeners close */
    PEER_SNAPSHOT_GAP_MS = 5000,      /* receiving: no byte for so long ends it, as etcd */
    PEER_SNAPSHOT_STALL_MS = 10000,   /* sending: nothing taken for so long */
    PEER_SNAPSHOT_ANSWER_MS = 300000, /* the other end syncs the file */
    PEER_CLOCK_DIFF_MS = 1000,
    PEER_HEX_MAX = 17,
    PEER_HEADERS_MAX = 8,
};

struct peer;

/* ---- writer.c: a stream that the peer dialled ---- */

struct peer_writer {
    struct peer *peer;
    enum peer_channel channel;
    struct rpc_http_req *req; /* NULL: not attached */
    struct peer_position pos;
    struct peer_queue urgent; /* message channel: whole frames */
    struct peer_queue bulk;
    uint64_t heartbeat_ms; /* of the last link heartbeat */
    uint64_t progress_ms;  /* when the connection last took something, or nothing waited */
};

void peer_writer_init(struct peer_writer *w, struct peer *p, enum peer_channel channel);
void peer_writer_deinit(struct peer_writer *w);
/* Begins the answer; an older stream is ended. */
void peer_writer_attach(struct peer_writer *w, struct rpc_http_req *req);
/* The req is gone, or is finished here. */
void peer_writer_detach(struct peer_writer *w, bool must_finish);
/* False: dropped, the queue is full. */
bool peer_writer_push(struct peer_writer *w, const struct raft_message *m);
void peer_writer_flush(struct peer_writer *w);
void peer_writer_tick(struct peer_writer *w, uint64_t now_ms);

/* ---- reader.c: a stream that we dial ---- */

struct peer_reader {
    struct peer *peer;
    enum peer_channel channel;
    struct rpc_http_client *client; /* NULL: not dialling */
    struct peer_decoder decoder;
    struct env_timer timer; /* the next attempt */
    uint64_t dial_ms;       /* of the last attempt */
    uint64_t byte_ms;       /* of the last byte */
    unsigned failures;      /* in a row */
    bool is_open;           /* answered with 200 */
};

void peer_reader_init(struct peer_reader *r, struct peer *p, enum peer_channel channel);
void peer_reader_deinit(struct peer_reader *r);
/* Dials as soon as pacing allows. */
void peer_reader_start(struct peer_reader *r);
void peer_reader_stop(struct peer_reader *r);
/* The other end is alive: no need to wait longer. */
void peer_reader_nudge(struct peer_reader *r);
void peer_reader_tick(struct peer_reader *r, uint64_t now_ms);

/* ---- pipeline.c ---- */

struct peer_post {
    struct list_node node;
    struct buf body;
};

struct peer_pipe {
    struct peer *peer;
    struct rpc_http_client *client;
    struct peer_post *post; /* under way */
    uint64_t used_ms;
    int status;
};

struct peer_pipeline {
    struct list urgent;
    struct list bulk;
    size_t count;
    size_t bytes;
    uint64_t retry_ms; /* not before: the last dial failed */
    struct peer_pipe pipes[PEER_PIPES];
};

void peer_pipeline_init(struct peer *p);
void peer_pipeline_deinit(struct peer *p);
bool peer_pipeline_push(struct peer *p, const struct raft_message *m);
void peer_pipeline_tick(struct peer *p, uint64_t now_ms);

/* ---- probe.c ---- */

struct peer_probe {
    struct peer *peer;
    struct rpc_http_client *client;
    uint64_t sent_ns; /* mono; 0: none under way */
    int64_t sent_wall_ns;
    uint64_t next_ms;
    uint64_t rtt_ns;
    int status;
    struct buf body;
    bool is_ok;
    bool was_told; /* a failure is logged once */
    bool was_clock_told;
};

void peer_probe_init(struct peer_probe *b, struct peer *p);
void peer_probe_deinit(struct peer_probe *b);
void peer_probe_tick(struct peer_probe *b, uint64_t now_ms);
/* The clocks' difference out of an answer's body; ERR_MALFORMED. */
MUST_USE int peer_probe_parse(struct slice body, int64_t *out_wall_ns);

/* ---- one peer ---- */

struct peer {
    struct list_node node; /* peer_transport.peers (ascending ids), or dead */
    struct peer_transport *transport;
    uint64_t id;
    char hex[PEER_HEX_MAX];
    struct strs urls;
    size_t url; /* the one in use */
    bool is_remote;
    bool is_dead;
    uint64_t active_since_ms;
    bool was_inactive_told;
    struct semver version;
    struct peer_writer writers[PEER_CHANNEL_COUNT];
    struct peer_reader readers[PEER_CHANNEL_COUNT];
    struct peer_pipeline pipeline;
    struct peer_probe probe;
    struct peer_stats stats;
};

struct peer *peer_create(struct peer_transport *t, uint64_t id, const struct strs *urls,
                         bool is_remote);
/* Ends everything; the struct lives until peer_free. */
void peer_stop(struct peer *p);
void peer_free(struct peer *p);
/* A remote becomes a full peer. */
void peer_streams_start(struct peer *p);
void peer_urls_replace(struct peer *p, const struct strs *urls);
void peer_tick(struct peer *p, uint64_t now_ms);
/* Encodes into the queue of the channel that etcd would choose. */
void peer_route(struct peer *p, const struct raft_message *m);
void peer_flush(struct peer *p);
void peer_activate(struct peer *p);
void peer_deactivate(struct peer *p, const char *action, int err);
/* why: of the TLS connection; "": the error says it all. */
void peer_deactivate_why(struct peer *p, const char *action, int err, const char *why);
/* The URL in use did not work. */
void peer_url_rotate(struct peer *p);
void peer_version_heard(struct peer *p, struct slice text);

/* A client connection to a checked URL; tls as peer_config's. */
MUST_USE int peer_url_open(struct env *env, const struct rpc_tls_factory *tls, const char *url,
                           uint64_t timeout_ms, const struct rpc_http_client_events *events,
                           void *arg, struct rpc_http_client **out);
/* A client connection to the URL in use. */
MUST_USE int peer_client_open(struct peer *p, const struct rpc_http_client_events *events,
                              void *arg, struct rpc_http_client **out);
/* The headers of every request to /raft and below (peer-protocol 2.3); returns how many. */
size_t peer_request_headers(const struct peer *p, struct h1_header out[PEER_HEADERS_MAX]);

/* ---- reports ---- */

enum peer_report_kind {
    PEER_REPORT_UNREACHABLE,
    PEER_REPORT_SNAPSHOT_OK,
    PEER_REPORT_SNAPSHOT_FAILED,
    PEER_REPORT_REMOVED,
    PEER_REPORT_ACTIVE,
    PEER_REPORT_INACTIVE,
};

struct peer_report {
    uint64_t id;
    enum peer_report_kind kind;
};

/* ---- the transport ---- */

enum { PEER_HANDLERS = 11 };

struct peer_transport {
    struct env *env;
    uint64_t local_id;
    uint64_t cluster_id;
    char local_hex[PEER_HEX_MAX];
    char cluster_hex[PEER_HEX_MAX];
    const struct level_rules *rules;
    struct buf urls_text; /* a,b */
    char *snap_dir;
    uint64_t dial_timeout_ms;
    int (*snapshot_check)(struct env_disk *disk, const char *path, raft_index index);
    const struct rpc_tls_factory *tls;
    const struct peer_events *events;
    const struct peer_pages *pages;
    void *arg;

    struct rpc_http_handler handlers[PEER_HANDLERS];
    struct list peers;
    size_t remote_count;
    struct list dead;
    struct list posts_in;
    struct list pages_in;
    struct list snaps_in;
    size_t snaps_in_count;
    struct list snaps_out;
    size_t snaps_out_count;
    void (*on_idle)(void *arg);
    void *idle_arg;
    size_t bodies_bytes;  /* of posts_in */
    uint64_t tmp_counter; /* names of received files */

    struct peer_report *reports;
    size_t report_count;
    size_t report_cap;
    struct env_timer tick;
    unsigned holds; /* jobs on the work lane that come back here */
    bool is_deferred;
    bool is_removed_told;
    bool is_stopped;
    bool is_destroyed;
};

struct peer *peer_find(const struct peer_transport *t, uint64_t id);
void peer_report_add(struct peer_transport *t, uint64_t id, enum peer_report_kind kind);
/* Its to and from; both are known even when the type is none of raft's. */
bool peer_is_for_us(struct peer_transport *t, const struct raft_message *m);
/* What comes from the network: checks from and to, then on_message.  ERR_MISMATCH: not for us, or
 * from a removed member. */
MUST_USE int peer_deliver(struct peer_transport *t, const struct raft_message *m);
void peer_transport_hold(struct peer_transport *t);
void peer_transport_release(struct peer_transport *t);

/* ---- handlers.c and what it hands requests to ---- */

void peer_handlers_init(struct peer_transport *t);
/* "text\n" with the cluster header (has_cluster) as text/plain. */
void peer_answer_text(struct peer_transport *t, struct rpc_http_req *req, int status,
                      const char *text, bool has_cluster);
/* 500, the connection ends behind the text without the end of the body: what etcd does with a
 * message that it does not take. */
void peer_answer_cut(struct peer_transport *t, struct rpc_http_req *req, const char *text);
/* 405 with Allow. */
void peer_answer_method(struct rpc_http_req *req, const char *allowed);
/* Method, version and cluster.  False: answered. */
bool peer_request_check(struct peer_transport *t, struct rpc_http_req *req, const char *method);
/* A sender that is not known becomes a remote. */
void peer_remote_from_headers(struct peer_transport *t, struct rpc_http_req *req);
/* Hexadecimal text of any case; ERR_MALFORMED. */
MUST_USE int peer_hex_parse(struct slice text, uint64_t *out);

/* post_in.c */
void peer_post_in_request(void *arg, struct rpc_http_req *req);
void peer_post_in_body(void *arg, struct rpc_http_req *req, struct slice bytes);
void peer_post_in_end(void *arg, struct rpc_http_req *req);
void peer_post_in_gone(void *arg, struct rpc_http_req *req);
void peer_posts_in_stop(struct peer_transport *t);

/* snap_in.c */
void peer_snap_in_request(void *arg, struct rpc_http_req *req);
void peer_snap_in_body(void *arg, struct rpc_http_req *req, struct slice bytes);
void peer_snap_in_end(void *arg, struct rpc_http_req *req);
void peer_snap_in_gone(void *arg, struct rpc_http_req *req);
void peer_snaps_in_tick(struct peer_transport *t, uint64_t now_ms);
void peer_snaps_in_stop(struct peer_transport *t);

/* snap_out.c */
void peer_snaps_out_tick(struct peer_transport *t, uint64_t now_ms);
/* id 0: all. */
void peer_snaps_out_stop(struct peer_transport *t, uint64_t id);

/* pages.c */
void peer_page_request(void *arg, struct rpc_http_req *req);
void peer_page_body(void *arg, struct rpc_http_req *req, struct slice bytes);
void peer_page_end(void *arg, struct rpc_http_req *req);
void peer_page_gone(void *arg, struct rpc_http_req *req);
void peer_pages_in_stop(struct peer_transport *t);

#endif
