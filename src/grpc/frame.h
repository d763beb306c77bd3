/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/frame: messages out of DATA bytes, and gzip.
 *
 *     byte 0      flag: 0 plain, 1 compressed with the stream's grpc-encoding
 *     bytes 1-4   length, big endian
 *     bytes 5-    message
 *
 * Design      A message that lies whole in the bytes at hand is handed on where it lies; one that
 *             comes in pieces is gathered in an rcbuf, which grows with what has really come, so
 *             that five bytes cannot reserve megabytes.
 * Failure     grpc_deframer_next fills a struct grpc_error with grpc-go's texts; the stream is
 *             over.
 * See         client-api 3.3, 4.3; test/unit/grpc/frame_test.c.
 */
#ifndef GRPC_FRAME_H
#define GRPC_FRAME_H

#include "base/rcbuf.h"
#include "grpc/status.h"

enum {
    GRPC_HEAD_BYTES = 5,
    GRPC_GATHER_FIRST_BYTES = 64 << 10, /* first size of a gathered message */
    GRPC_GZIP_MAX = 64 << 10,           /* larger messages of ours go out uncompressed */
};

enum grpc_encoding { GRPC_ENCODING_NONE, GRPC_ENCODING_IDENTITY, GRPC_ENCODING_GZIP };

struct grpc_deframer {
    size_t bytes_max;            /* of one message, also after decompression */
    enum grpc_encoding encoding; /* the peer's grpc-encoding */
    uint8_t head[GRPC_HEAD_BYTES];
    uint8_t head_len;
    bool is_gathered;   /* the current message lies in body */
    size_t need;        /* length of the current message */
    struct rcbuf *body; /* gathered so far, or the decompressed message */
};

enum grpc_deframe {
    GRPC_DEFRAME_NEED,    /* everything was taken, no message yet */
    GRPC_DEFRAME_MESSAGE, /* *out_msg is valid until the next call */
    GRPC_DEFRAME_ERROR,
};

void grpc_deframer_deinit(struct grpc_deframer *d);
/* Takes from *in what it can. */
enum grpc_deframe grpc_deframer_next(struct grpc_deframer *d, struct slice *in,
                                     struct slice *out_msg, struct grpc_error *out_err);
/* After GRPC_DEFRAME_MESSAGE: the message counted, copied only if it lies in the input. */
struct rcbuf *grpc_deframer_take(struct grpc_deframer *d, struct slice msg);
/* Memory that an incomplete message holds. */
size_t grpc_deframer_held(const struct grpc_deframer *d);
/* A message has begun / its five bytes are complete, the rest is not. */
bool grpc_deframer_is_partial(const struct grpc_deframer *d);
bool grpc_deframer_is_in_message(const struct grpc_deframer *d);

void grpc_head_write(uint8_t out[GRPC_HEAD_BYTES], bool is_compressed, size_t len);
/* gzip format; appended to out. False when zlib has no memory. */
MUST_USE bool grpc_gzip(struct buf *out, struct slice in);
/* NULL with *out_err set: not gzip, cut, or above bytes_max. */
MUST_USE struct rcbuf *grpc_gunzip(struct slice in, size_t bytes_max, struct grpc_error *out_err);
/* False: a coding we do not have. */
bool grpc_encoding_parse(struct slice s, enum grpc_encoding *out);

#endif
