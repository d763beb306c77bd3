/* SPDX-License-Identifier: Apache-2.0
 *
 * base/limits: every bound of the product that is not a flag, with the reason.
 * Defaults of flags are here too, so that code and --help agree.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/* Client API (client-api 2.0.3). */
#define LIMIT_REQUEST_BYTES_DEFAULT 1572864
#define LIMIT_GRPC_OVERHEAD_BYTES 524288 /* receive limit = request bytes + this */
#define LIMIT_TXN_OPS_DEFAULT 128
#define LIMIT_RESPONSE_BYTES 2147483647 /* gRPC send limit of etcd */
#define LIMIT_APPLY_GAP 5000            /* committed - applied above this: too many requests */
#define LIMIT_APPLY_GAP_REVOKE 10000    /* of lease revocations, gate PriorityRequest */
#define LIMIT_LEASE_TTL_S 9000000000

/* Backend (design.md 5). */
#define LIMIT_QUOTA_BYTES_DEFAULT 2147483648
#define LIMIT_BATCH_INTERVAL_MS 100
#define LIMIT_BATCH_OPS 10000
#define LIMIT_TAIL_BYTES (64u << 20) /* applied but not committed to the file */
#define LIMIT_TAIL_BATCHES 4
#define LIMIT_PAGE_CACHE_BYTES (32u << 20)
#define LIMIT_COMPACTION_BATCH 1000  /* --compaction-batch-limit */
#define LIMIT_COMPACTION_SLEEP_MS 10 /* --compaction-sleep-interval */

/* WAL and raft. */
#define LIMIT_WAL_SEGMENT_BYTES 64000000
#define LIMIT_RAFT_LOG_BYTES (8u << 20) /* in-memory log; older entries come from the WAL */
#define LIMIT_SNAPSHOT_COUNT_DEFAULT 10000
#define LIMIT_SNAPSHOT_CATCHUP_DEFAULT 5000
#define LIMIT_LEARNERS_DEFAULT 1         /* --max-learners */
#define LIMIT_PENDING_REQUESTS 65536     /* credits: requests between admission and reply */
#define LIMIT_PENDING_BYTES (256u << 20) /* their bytes; also of requests not complete */

/* Reads (design.md 4). */
#define LIMIT_PLAN_CHUNK_BYTES                                                                     \
    (1u << 20)                  /* one cold read job, one burst of a streamed response             \
                                 */
#define LIMIT_PLAN_PIN_MS 60000 /* a reader slower than this is reset */
#define LIMIT_WATCHES 4194304   /* over all streams of a member */
#define LIMIT_SESSIONS 65536    /* calls of Lock and Election under way */
#define LIMIT_RESPONSE_BUFFER_BYTES (128u << 20) /* all response bytes waiting for windows */

/* Net. */
/* Requests between a net thread and the core's (--net-threads): above it new ones are refused. */
#define LIMIT_MAIL_COUNT 32768
#define LIMIT_MAIL_BYTES (64u << 20)
#define LIMIT_CONNECTIONS 65536
#define LIMIT_STREAMS 262144 /* open calls over all connections: about 1.4 KiB each */
#define LIMIT_CONN_OUT_BYTES                                                                       \
    (1u << 20)                         /* unsent bytes before a connection is not read any more    \
                                        */
#define LIMIT_CONN_IN_BYTES (4u << 20) /* request bytes held for one connection */
#define LIMIT_HEADER_LIST_BYTES (1u << 20) /* as etcd's TLS port */
#define LIMIT_HTTP1_HEADER_BYTES (1u << 20)
#define LIMIT_HTTP1_BODY_BYTES (4u << 20)
#define LIMIT_HEADER_TIMEOUT_MS 300000 /* request headers, as etcd: 5 min */

/* TLS. */
#define LIMIT_TLS_HANDSHAKE_MS 10000 /* as etcd; then the connection is closed */
#define LIMIT_TLS_HANDSHAKES 4096    /* under way at once on a loop: above, the oldest is closed */
#define LIMIT_TLS_HANDSHAKES_TURN 16 /* flights worked on in one turn of the loop */
#define LIMIT_TLS_FILE_BYTES (4u << 20)
#define LIMIT_TLS_KEPT_CERTS 1024 /* certificates of live peers that a reload looks at */
#define LIMIT_TLS_RELOAD_MS 1000  /* between looks at the files */

/* Peers (peer-protocol 2). */
#define LIMIT_PEER_FRAME_BYTES (512u << 20)  /* one message received, as etcd's streams */
#define LIMIT_PEER_STREAM_BYTES (64u << 20)  /* data waiting for one stream; etcd: 4096 messages */
#define LIMIT_PEER_URGENT_BYTES (1u << 20)   /* heartbeats, votes, acknowledgements, beside it */
#define LIMIT_PEER_POSTS 64                  /* messages waiting for a POST, as etcd's pipeline */
#define LIMIT_PEER_POST_BYTES (64u << 20)    /* their bytes; and one message received by POST */
#define LIMIT_PEER_BODIES_BYTES (128u << 20) /* of all messages being received by POST */
#define LIMIT_PEER_SNAPSHOTS 16              /* being sent, as etcd; being received */
#define LIMIT_PEER_SNAPSHOT_HEAD (64u << 20) /* a received MsgSnap, as etcd 3.6 */
#define LIMIT_PEER_SNAPSHOT_PIECE (512u << 10)  /* of a database, in memory, two a transfer */
#define LIMIT_PEER_REMOTES 64                   /* peers known from headers only */
#define LIMIT_PEER_ANSWER_BYTES (4u << 20)      /* of /members and the like, asked of a peer */
#define LIMIT_PEER_POOL 8                       /* idle connections of questions to peers */
#define LIMIT_PEER_SMALL_BODY_BYTES (64u << 10) /* of /leases and the like, as etcd */

#endif
