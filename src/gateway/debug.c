/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/debug: /debug/vars, and of /debug/pprof/ what has a meaning without Go's runtime
 * (client-api 6).
 */
#include <inttypes.h>

#include "base/gotext.h"
#include "gateway/internal.h"

enum { PROGRESS_MAX = 64 /* members shown */ };

/* ---- /debug/vars ---- */

static void put_command_line(const struct gateway *g, struct buf *out)
{
    struct buf args = BUF_INIT;
    g->o.process->command_line(&args);
    buf_append_byte(out, '[');
    for (size_t i = 0; i < args.len;) {
        size_t len = strnlen((const char *)args.data + i, args.len - i);
        if (i > 0) {
            buf_append_byte(out, ',');
        }
        gotext_json_string(out, slice_make(args.data + i, len));
        i += len + 1;
    }
    buf_append_byte(out, ']');
    buf_deinit(&args);
}

/* Under the names of Go's MemStats, as far as the kernel knows them. */
static void put_memory(const struct gateway *g, struct buf *out)
{
    uint64_t resident = 0, total = 0;
    g->o.process->memory(&resident, &total);
    buf_printf(out,
               "{\"Alloc\":%" PRIu64 ",\"Sys\":%" PRIu64 ",\"HeapAlloc\":%" PRIu64
               ",\"HeapSys\":%" PRIu64 ",\"HeapInuse\":%" PRIu64 ",\"NumGC\":0}",
               resident, total, resident, total, resident);
}

static const char *role_text(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER: return "StateFollower";
    case RAFT_CANDIDATE: return "StateCandidate";
    case RAFT_LEADER: return "StateLeader";
    case RAFT_PRE_CANDIDATE: return "StatePreCandidate";
    }
    return "StateFollower";
}

static const char *progress_text(enum raft_progress_state state)
{
    switch (state) {
    case RAFT_PROGRESS_PROBE: return "StateProbe";
    case RAFT_PROGRESS_REPLICATE: return "StateReplicate";
    case RAFT_PROGRESS_SNAPSHOT: return "StateSnapshot";
    }
    return "StateProbe";
}

static void put_progress(const struct core *core, const struct core_status *st, struct buf *out)
{
    struct raft_member_status items[PROGRESS_MAX];
    size_t count = st->raft.role == RAFT_LEADER ? core_progress(core, items, PROGRESS_MAX) : 0;
    for (size_t i = 0; i < count; i++) {
        buf_printf(
            out, "%s\"%" PRIx64 "\":{\"match\":%" PRIu64 ",\"next\":%" PRIu64 ",\"state\":\"%s\"}",
            i == 0 ? "" : ",", items[i].id, items[i].match, items[i].next,
            progress_text(items[i].state));
    }
}

static void put_raft(struct gateway *g, struct buf *out)
{
    const struct core *core = driver_core(g->o.driver);
    struct core_status st;
    core_status(core, &st);
    buf_printf(out,
               "{\"id\":\"%" PRIx64 "\",\"term\":%" PRIu64 ",\"vote\":\"%" PRIx64
               "\",\"commit\":%" PRIu64 ",\"lead\":\"%" PRIx64
               "\",\"raftState\":\"%s\",\"applied\":%" PRIu64 ",\"progress\":{",
               st.raft.id, st.raft.hard.term, st.raft.hard.vote, st.raft.hard.commit, st.leader,
               role_text(st.raft.role), st.raft.applied);
    put_progress(core, &st, out);
    buf_printf(out, "},\"leadtransferee\":\"%" PRIx64 "\"}", st.raft.transferee);
}

void gateway_vars(void *arg, struct rpc_http_req *req)
{
    static const struct rpc_http_header type = {"Content-Type",
                                                SLICE_LIT("application/json; charset=utf-8")};
    struct gateway *g = arg;
    if (gateway_get_only(req)) {
        return;
    }
    struct buf out = BUF_INIT;
    buf_append_cstr(&out, "{\n\"cmdline\": ");
    put_command_line(g, &out);
    buf_printf(&out, ",\n\"file_descriptor_limit\": %" PRIu64 ",\n\"memstats\": ",
               g->o.process->fd_limit());
    put_memory(g, &out);
    buf_append_cstr(&out, ",\n\"raft.status\": ");
    put_raft(g, &out);
    buf_append_cstr(&out, "\n}\n");
    rpc_http_respond(req, 200, &type, 1, buf_slice(&out));
    buf_deinit(&out);
}

/* ---- /debug/pprof/ ---- */

void gateway_pprof(void *arg, struct rpc_http_req *req)
{
    const struct gateway *g = arg;
    if (!slice_equal_cstr(rpc_http_path(req), "/debug/pprof/cmdline")) {
        static const struct rpc_http_header headers[] = {
            {"Content-Type", SLICE_LIT("text/plain; charset=utf-8")},
            {"X-Content-Type-Options", SLICE_LIT("nosniff")},
            {"X-Go-Pprof", SLICE_LIT("1")},
        };
        rpc_http_respond(req, 404, headers, ARRAY_LEN(headers), SLICE_LIT("Unknown profile\n"));
        return;
    }
    struct buf args = BUF_INIT;
    g->o.process->command_line(&args);
    args.len -= args.len > 0; /* Go joins them */
    gateway_text(req, 200, buf_slice(&args), true);
    buf_deinit(&args);
}
