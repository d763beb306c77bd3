/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: mvcc_dep, lease_dep, schema_dep, wire_dep (and test/lib/fake_backend.c in place of backend)
 *
 * Records of a `key` bucket as a damaged or hostile file may hold them: restore refuses them or
 * makes an index whose invariants hold through a compaction.  Input: repeated {key length, value
 * length (bytes), key, value}; rows with key length 8 go to the lease bucket.
 */
#include "base/err.h"
#include "lease/lessor.h"
#include "lib/fake_backend.h"
#include "mvcc/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct slice left;
    struct lessor *lessor; /* rows for it, or NULL: records */
};

enum { LEASE_KEY = 8, HEAD = 2 };

static int next(void *arg, struct slice *key, struct slice *value)
{
    struct input *in = arg;
    while (in->left.len >= HEAD) {
        size_t k = in->left.data[0];
        size_t v = in->left.data[1];
        if (in->left.len - HEAD < k + v) {
            return ERR_END;
        }
        *key = slice_make(in->left.data + HEAD, k);
        *value = slice_make(in->left.data + HEAD + k, v);
        in->left = slice_skip(in->left, HEAD + k + v);
        if ((k == LEASE_KEY) == (in->lessor != NULL)) {
            return 0;
        }
    }
    return ERR_END;
}

static void load_leases(struct lessor *l, struct slice all)
{
    struct input in = {all, l};
    struct slice key;
    struct slice value;
    while (next(&in, &key, &value) == 0) {
        if (lessor_load(l, key, value) != 0) {
            continue;
        }
    }
    lessor_check(l);
}

static void hash_all(struct mvcc_store *s, struct slice all)
{
    struct mvcc_hash_value cached;
    struct mvcc_hash *h;
    struct input in = {all, NULL};
    struct mvcc_source src = {next, &in};
    if (mvcc_hash_begin(s, 0, &cached, &h) != 0) {
        return;
    }
    while (mvcc_hash_collect(h, 3) == ERR_AGAIN) {
    }
    ensure(mvcc_hash_run(h, &src, SIZE_MAX) == 0);
    mvcc_hash_end(h, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct backend *b = fake_backend_create();
    struct lessor_options lo = {.backend = b, .bucket_lease = FAKE_LEASE, .min_ttl_s = 2};
    struct lessor *l = lessor_create(&lo);
    struct mvcc_options mo = {.backend = b, .lessor = l, .bucket_meta = FAKE_META};
    struct mvcc_store *s = mvcc_create(&mo);
    struct slice all = slice_make(data, size);
    load_leases(l, all);
    struct input in = {all, NULL};
    struct mvcc_source src = {next, &in};
    if (mvcc_restore(s, &src, -1, -1) == 0) {
        mvcc_check(s);
        hash_all(s, all);
        struct wire_range_req r = {.key = slice_make("", 1),
                                   .range_end = slice_make("", 1),
                                   .keys_only = true,
                                   .revision = mvcc_rev(s) / 2 + 1};
        struct mvcc_plan plan;
        if (mvcc_plan_range(s, &r, &plan) == 0) {
            mvcc_plan_end(&plan);
        }
    }
    mvcc_check(s);
    mvcc_destroy(s);
    lessor_destroy(l);
    fake_backend_destroy(b);
    return 0;
}
