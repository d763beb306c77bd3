/* SPDX-License-Identifier: Apache-2.0
 *
 * The v2 store JSON out of a `.snap` file or a MsgSnap.  Deps: member_dep, schema_dep, backend_dep.
 */
#include "base/err.h"
#include "member/v2store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct v2store s;
    struct v2store again;
    if (v2store_decode(slice_make(data, size), &s) == 0) {
        struct buf b = BUF_INIT;
        v2store_encode(&b, &s.membership, s.cluster_version);
        ensure(v2store_decode(buf_slice(&b), &again) == 0);
        ensure(again.membership.count == s.membership.count);
        ensure(again.membership.removed_count == s.membership.removed_count);
        membership_deinit(&again.membership);
        membership_deinit(&s.membership);
        buf_deinit(&b);
    }
    return 0;
}
