/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: service_dep, proto_dep
 *
 * CampaignRequest and ProclaimRequest: the scanning decoders and the one by descriptor agree on
 * what is well formed and on what it means.
 */
#include <stdint.h>

#include "base/err.h"
#include "service/election_req.h"
#include "wire/pb.h"
#include "wire/v3electionpb.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_contest(struct slice in, struct arena *a)
{
    struct contest_req r = {.lease = 0};
    V3electionpb__CampaignRequest m;
    int err = contest_req_decode(in, &r);
    int pb_err = wire_pb_unpack(&v3electionpb__campaign_request__descriptor, in, a, &m.base);
    ensure(pb_err == ERR_LIMIT || (err == 0) == (pb_err == 0));
    if (err == 0 && pb_err == 0) {
        ensure(slice_equal(r.name, wire_pb_slice(m.name)));
        ensure(slice_equal(r.value, wire_pb_slice(m.value)) && r.lease == m.lease);
    }
}

static void check_leader(struct slice in, struct arena *a)
{
    struct leader_req r = {.has_leader = false};
    V3electionpb__ProclaimRequest m;
    int err = leader_req_decode(in, &r);
    int pb_err = wire_pb_unpack(&v3electionpb__proclaim_request__descriptor, in, a, &m.base);
    ensure(pb_err == ERR_LIMIT || (err == 0) == (pb_err == 0));
    if (err != 0 || pb_err != 0) {
        return;
    }
    ensure(slice_equal(r.value, wire_pb_slice(m.value)) && r.has_leader == (m.leader != NULL));
    if (m.leader != NULL) {
        ensure(slice_equal(r.key, wire_pb_slice(m.leader->key)));
        ensure(r.rev == m.leader->rev && r.lease == m.leader->lease);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct arena a;
    arena_init(&a, 0);
    check_contest(in, &a);
    check_leader(in, &a);
    arena_deinit(&a);
    return 0;
}
