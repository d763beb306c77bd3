/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: auth_dep
 *
 * Stored users and roles: what is taken is written again in a form that means the same, and that
 * form does not change any more.
 */
#include <stdint.h>

#include "auth/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_user(struct slice in)
{
    struct auth_user u, again;
    struct buf one = BUF_INIT, two = BUF_INIT;
    if (auth_user_decode(in, &u) != 0) {
        return;
    }
    auth_user_encode(&u, &one);
    int err = auth_user_decode(buf_slice(&one), &again);
    ensure(err == 0 && again.role_count == u.role_count && again.no_password == u.no_password);
    ensure(slice_equal(u.name, again.name) && slice_equal(u.password, again.password));
    auth_user_encode(&again, &two);
    ensure(slice_equal(buf_slice(&one), buf_slice(&two)));
    auth_user_deinit(&u);
    auth_user_deinit(&again);
    buf_deinit(&one);
    buf_deinit(&two);
}

static void try_role(struct slice in)
{
    struct auth_role r, again;
    struct buf one = BUF_INIT, two = BUF_INIT;
    if (auth_role_decode(in, &r) != 0) {
        return;
    }
    auth_role_encode(&r, &one);
    int err = auth_role_decode(buf_slice(&one), &again);
    ensure(err == 0 && again.perm_count == r.perm_count && slice_equal(r.name, again.name));
    for (size_t i = 0; i < r.perm_count; i++) {
        ensure(r.perms[i].type == again.perms[i].type);
        ensure(slice_equal(r.perms[i].key, again.perms[i].key));
        ensure(slice_equal(r.perms[i].range_end, again.perms[i].range_end));
    }
    auth_role_encode(&again, &two);
    ensure(slice_equal(buf_slice(&one), buf_slice(&two)));
    auth_role_deinit(&r);
    auth_role_deinit(&again);
    buf_deinit(&one);
    buf_deinit(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_user(slice_make(data, size));
    try_role(slice_make(data, size));
    return 0;
}
