/* SPDX-License-Identifier: Apache-2.0
 *
 * Member JSON as from the members bucket or a conf change, confState and downgrade JSON, and URL
 * lists.  Deps: member_dep, schema_dep, backend_dep.
 */
#include "base/err.h"
#include "member/initial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void member_round_trip(struct slice in)
{
    struct member m;
    struct member again;
    member_init(&m);
    member_init(&again);
    if (member_json_parse(in, &m) == 0) {
        struct buf a = BUF_INIT;
        struct buf b = BUF_INIT;
        member_json(&a, &m);
        ensure(member_json_parse(buf_slice(&a), &again) == 0);
        member_json(&b, &again);
        ensure(slice_equal(buf_slice(&a), buf_slice(&b)));
        buf_deinit(&a);
        buf_deinit(&b);
    }
    member_deinit(&m);
    member_deinit(&again);
}

static void others(struct slice in)
{
    struct member_context c;
    struct raft_conf_state cs;
    struct schema_downgrade d;
    if (member_context_parse(in, &c) == 0) {
        member_context_deinit(&c);
    }
    if (schema_conf_state_decode(in, &cs) == 0) {
        ensure(cs.voters.count <= RAFT_MEMBERS_MAX);
    }
    if (schema_downgrade_decode(in, &d) == 0) {
        ensure(strlen(d.target) < sizeof(d.target));
    }
}

static void initial_cluster(struct slice in)
{
    char *text = mem_strndup(in.data, in.len);
    struct buf error = BUF_INIT;
    struct initial_cluster ic;
    struct membership ms;
    if (initial_cluster_parse(text, &ic, &error) == 0) {
        if (initial_cluster_members(&ic, "tok", &ms, &error) == 0) {
            membership_check(&ms);
            membership_deinit(&ms);
        }
        initial_cluster_deinit(&ic);
    }
    buf_deinit(&error);
    mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    member_round_trip(in);
    others(in);
    initial_cluster(in);
    return 0;
}
