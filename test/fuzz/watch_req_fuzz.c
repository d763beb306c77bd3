/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: service_dep, proto_dep
 *
 * WatchRequest: the scanning decoder and the one by descriptor agree on what is well formed and on
 * what it means.
 */
#include <stdint.h>

#include "base/err.h"
#include "service/watch_req.h"
#include "wire/pb.h"
#include "wire/watch.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_create(const struct watch_req *r, const Etcdserverpb__WatchCreateRequest *c)
{
    bool no_put = false, no_delete = false;
    for (size_t i = 0; i < c->n_filters; i++) {
        no_put = no_put || (int)c->filters[i] == 0;
        no_delete = no_delete || (int)c->filters[i] == 1;
    }
    ensure(slice_equal(r->key, wire_pb_slice(c->key)));
    ensure(slice_equal(r->range_end, wire_pb_slice(c->range_end)));
    ensure(r->start_rev == c->start_revision && r->watch_id == c->watch_id);
    ensure(r->progress_notify == (c->progress_notify != 0) && r->prev_kv == (c->prev_kv != 0));
    ensure(r->fragment == (c->fragment != 0));
    ensure(r->no_put == no_put && r->no_delete == no_delete);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct arena a;
    struct watch_req r = {.kind = WATCH_REQ_NONE};
    Etcdserverpb__WatchRequest m;
    arena_init(&a, 0);
    int err = watch_req_decode(in, &r);
    int pb_err = wire_pb_unpack(&etcdserverpb__watch_request__descriptor, in, &a, &m.base);
    if (pb_err != ERR_LIMIT) {
        ensure((err == 0) == (pb_err == 0));
        ensure(err != 0 || (unsigned)r.kind == (unsigned)m.request_union_case);
        if (err == 0 && r.kind == WATCH_REQ_CREATE) {
            check_create(&r, m.create_request);
        } else if (err == 0 && r.kind == WATCH_REQ_CANCEL) {
            ensure(r.watch_id == m.cancel_request->watch_id);
        }
    }
    arena_deinit(&a);
    return 0;
}
