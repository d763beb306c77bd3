/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_member: member list, add, remove, update, promote.
 */
#include <strings.h>

#include "cmd/ctl.h"
#include "cmd/ctl_kv_req.h"
#include "cmd/print_text.h"
#include "member/url.h"

enum { URLS_MAX = 1024 };

static int member_id(struct ctl *c, uint64_t *out)
{
    struct buf reason = BUF_INIT;
    int rc = ctl_need_args(c, 1, "member ID is not provided");
    if (rc == 0 && text_parse_u64(c->cli->args[0], 16, out, &reason) != 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "bad member ID arg (%s), expecting ID in Hex",
                      buf_cstr(&reason));
    }
    buf_deinit(&reason);
    return rc;
}

/* --peer-urls cut at commas. */
static int peer_urls(struct ctl *c, char ***out, size_t *out_count)
{
    struct slice text = cli_text(c->cli, "peer-urls");
    if (text.len == 0) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "member peer urls not provided");
    }
    char **list = arena_alloc(&c->cli->arena, URLS_MAX * sizeof(*list));
    size_t count = 0;
    for (bool is_more = true; is_more && count < URLS_MAX;) {
        const uint8_t *comma = text.len == 0 ? NULL : memchr(text.data, ',', text.len);
        size_t n = comma == NULL ? text.len : (size_t)(comma - text.data);
        list[count++] = ctl_cstr(c, slice_make(text.data, n));
        is_more = comma != NULL;
        text = is_more ? slice_skip(text, n + 1) : text;
    }
    *out = list;
    *out_count = count;
    return 0;
}

/* The reference's client checks the URLs itself, once it is connected. */
static int check_urls(struct ctl *c, char *const *urls, size_t count)
{
    struct strs given = {0};
    struct strs checked = {0};
    struct buf why = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        strs_add(&given, slice_cstr(urls[i]));
    }
    int err = urls_check(&given, &checked, &why);
    int rc = err == 0 ? 0 : ctl_fail(&c->fail, CTL_RC_ERROR, "%s", buf_cstr(&why));
    strs_deinit(&given);
    strs_deinit(&checked);
    buf_deinit(&why);
    return rc;
}

int ctl_run_member_list(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    bool is_serializable;
    /* The reference names the default of `get` in this message, whatever was given. */
    int rc = ctl_is_serializable(cli_text(ctx, "consistency"), SLICE_LIT("l"), &is_serializable,
                                 &c->fail);
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    Etcdserverpb__MemberListRequest req = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    Etcdserverpb__MemberListResponse resp;
    struct buf raw = BUF_INIT;
    req.linearizable = !is_serializable;
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Cluster/MemberList", CTL_READ, &req.base,
                    &etcdserverpb__member_list_response__descriptor, &resp.base, &raw);
    rc = rc != 0 ? rc : ctl_printed(c, print_member_list(&c->printer, buf_slice(&raw), &resp));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

static int add_args(struct ctl *c)
{
    const struct cli_ctx *cli = c->cli;
    if (cli->arg_count == 0) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "member name not provided");
    }
    if (cli->arg_count == 1) {
        return 0;
    }
    (void)ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "too many arguments");
    for (size_t i = 0; i < cli->arg_count; i++) {
        struct slice s = cli->args[i];
        if (s.len >= 4 && strncasecmp((const char *)s.data, "http", 4) == 0) {
            buf_append_cstr(&c->fail.text, ", did you mean --peer-urls=");
            buf_append_slice(&c->fail.text, s);
        }
    }
    return CTL_RC_BAD_ARGS;
}

int ctl_run_member_add(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    Etcdserverpb__MemberAddRequest req = ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    Etcdserverpb__MemberAddResponse resp;
    int rc = add_args(c);
    rc = rc != 0 ? rc : peer_urls(c, &req.peerurls, &req.n_peerurls);
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    struct buf raw = BUF_INIT;
    req.islearner = cli_bool(ctx, "learner");
    rc = check_urls(c, req.peerurls, req.n_peerurls);
    rc = rc != 0 ? rc
                 : ctl_ask_pb(c, client, "/etcdserverpb.Cluster/MemberAdd", 0, &req.base,
                              &etcdserverpb__member_add_response__descriptor, &resp.base, &raw);
    rc = rc != 0 ? rc
                 : ctl_printed(c, print_member_add(&c->printer, buf_slice(&raw), &resp,
                                                   ctx->args[0], cli_text(ctx, "peer-urls")));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

/* Sends a request that is answered with the list of members. */
static int change(struct ctl *c, const char *method, const ProtobufCMessage *req,
                  const ProtobufCMessageDescriptor *desc, uint64_t id, const char *what)
{
    struct client *client;
    Etcdserverpb__MemberRemoveResponse resp; /* update and promote have the same fields */
    struct buf raw = BUF_INIT;
    int rc = ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ctl_ask_pb(c, client, method, 0, req, desc, &resp.base, &raw);
    rc = rc != 0 ? rc
                 : ctl_printed(
                       c, print_member_change(&c->printer, buf_slice(&raw), id, what, &resp.base));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

_Static_assert(sizeof(Etcdserverpb__MemberRemoveResponse) ==
                       sizeof(Etcdserverpb__MemberUpdateResponse) &&
                   sizeof(Etcdserverpb__MemberRemoveResponse) ==
                       sizeof(Etcdserverpb__MemberPromoteResponse),
               "the three answers have one layout");

int ctl_run_member_remove(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__MemberRemoveRequest req = ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT;
    int rc = member_id(c, &req.id);
    return rc != 0
               ? rc
               : change(c, "/etcdserverpb.Cluster/MemberRemove", &req.base,
                        &etcdserverpb__member_remove_response__descriptor, req.id, "removed from");
}

int ctl_run_member_update(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__MemberUpdateRequest req = ETCDSERVERPB__MEMBER_UPDATE_REQUEST__INIT;
    int rc = member_id(c, &req.id);
    rc = rc != 0 ? rc : peer_urls(c, &req.peerurls, &req.n_peerurls);
    rc = rc != 0 ? rc : ctl_settings(c);
    rc = rc != 0 ? rc : check_urls(c, req.peerurls, req.n_peerurls);
    return rc != 0
               ? rc
               : change(c, "/etcdserverpb.Cluster/MemberUpdate", &req.base,
                        &etcdserverpb__member_update_response__descriptor, req.id, "updated in");
}

int ctl_run_member_promote(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__MemberPromoteRequest req = ETCDSERVERPB__MEMBER_PROMOTE_REQUEST__INIT;
    int rc = member_id(c, &req.id);
    return rc != 0
               ? rc
               : change(c, "/etcdserverpb.Cluster/MemberPromote", &req.base,
                        &etcdserverpb__member_promote_response__descriptor, req.id, "promoted in");
}
