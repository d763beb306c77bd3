/* SPDX-License-Identifier: Apache-2.0
 *
 * What another member answers on its peer port: /members, /version, hashkv, promote.  The first
 * byte is the status.
 */
#include "base/err.h"
#include "member/peer_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read is written as it will be read again. */
static void members(struct slice in)
{
    struct membership ms, again;
    struct buf a = BUF_INIT, b = BUF_INIT;
    if (member_list_parse(in, &ms) != 0) {
        return;
    }
    membership_check(&ms);
    member_list_json(&a, &ms);
    ensure(member_list_parse(buf_slice(&a), &again) == 0);
    member_list_json(&b, &again);
    ensure(slice_equal(buf_slice(&a), buf_slice(&b)));
    membership_deinit(&ms);
    membership_deinit(&again);
    buf_deinit(&a);
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned statuses[] = {200, 400, 404, 412, 500};
    unsigned status = size == 0 ? 200 : statuses[data[0] % ARRAY_LEN(statuses)];
    struct slice in = size == 0 ? SLICE_NULL : slice_make(data + 1, size - 1);
    struct member_versions v;
    struct member_hash h;
    struct membership ms;
    members(in);
    if (member_versions_parse(in, &v) == 0) {
        ensure(strlen(v.server) < sizeof(v.server) && strlen(v.cluster) < sizeof(v.cluster));
    }
    if (member_hash_answer(status, in, &h) == 0) {
        ensure(h.rev > 0);
    }
    if (member_promote_answer(status, in, &ms) == 0) {
        membership_deinit(&ms);
    }
    return 0;
}
