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
#define LIMIT_PENDING_REQUESTS 65536     /* credits: requests between admission and reply */
#define LIMIT_PENDING_BYTES (256u << 20) /* their bytes */

/* Reads (design.md 4). */
#define LIMIT_PLAN_CHUNK_BYTES                                                                     \
    (1u << 20)                  /* one cold read job, one burst of a streamed response             \
                                 */
#define LIMIT_PLAN_PIN_MS 60000 /* a reader slower than this is reset */
#define LIMIT_RESPONSE_BUFFER_BYTES (128u << 20) /* all response bytes waiting for windows */

/* Net. */
/* Requests between a net thread and the core's (--net-threads): above it new ones are refused. */
#define LIMIT_MAIL_COUNT 32768
#define LIMIT_MAIL_BYTES (64u << 20)
#define LIMIT_CONNECTIONS 65536
#define LIMIT_CONN_OUT_BYTES                                                                       \
    (1u << 20)                         /* unsent bytes before a connection is not read any more    \
                                        */
#define LIMIT_CONN_IN_BYTES (4u << 20) /* request bytes held for one connection */
#define LIMIT_HEADER_LIST_BYTES (1u << 20) /* as etcd's TLS port */
#define LIMIT_HTTP1_HEADER_BYTES (1u << 20)
#define LIMIT_HTTP1_BODY_BYTES (4u << 20)
#define LIMIT_HEADER_TIMEOUT_MS 300000 /* request headers, as etcd: 5 min */

#endif
