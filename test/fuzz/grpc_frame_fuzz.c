/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/grpc_frame: the same bytes through two deframers, whole and in pieces: they must agree.
 * And the small text decoders.
 *
 * deps: grpc_dep
 */
#include <stdint.h>
#include <string.h>

#include "grpc/frame.h"

/* Messages with their lengths, and a mark for an error. */
static void run(struct slice in, size_t step, struct buf *got)
{
    struct grpc_deframer d = {.bytes_max = 10000, .encoding = GRPC_ENCODING_GZIP};
    bool failed = false;
    while (in.len > 0 && !failed) {
        size_t n = in.len < step ? in.len : step;
        struct slice piece = slice_make(in.data, n);
        in = slice_skip(in, n);
        while (piece.len > 0 && !failed) {
            struct slice msg;
            struct grpc_error e;
            enum grpc_deframe r = grpc_deframer_next(&d, &piece, &msg, &e);
            if (r == GRPC_DEFRAME_MESSAGE) {
                buf_append_varint(got, msg.len);
                buf_append_slice(got, msg);
            } else if (r == GRPC_DEFRAME_ERROR) {
                buf_append_cstr(got, e.text);
                failed = true;
            }
        }
    }
    grpc_deframer_deinit(&d);
}

static void texts(struct slice in)
{
    struct buf out = BUF_INIT;
    uint64_t ns = 0;
    int err = grpc_timeout_parse(in, &ns, &out);
    ensure(err == 0 || out.len > 0);
    size_t bad_at = 0;
    err = grpc_base64_decode(&out, in, &bad_at);
    grpc_message_decode(&out, in);
    buf_clear(&out);
    grpc_message_encode(&out, in);
    struct buf back = BUF_INIT;
    grpc_message_decode(&back, buf_slice(&out));
    ensure(slice_equal(buf_slice(&back), in));
    grpc_quote(&out, in);
    buf_deinit(&out);
    buf_deinit(&back);
    (void)err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice in = slice_make(data + 1, size - 1);
    struct buf whole = BUF_INIT;
    struct buf split = BUF_INIT;
    run(in, in.len, &whole);
    run(in, 1 + data[0] % 32, &split);
    ensure(slice_equal(buf_slice(&whole), buf_slice(&split)));
    buf_deinit(&whole);
    buf_deinit(&split);
    texts(in);
    return 0;
}
