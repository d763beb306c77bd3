/* SPDX-License-Identifier: Apache-2.0
 *
 * apply/auth: requests about users, roles and logins (client-api 2.6.2, peer-protocol 4.8).
 */
#include "apply/internal.h"

enum { TEXTS_MAX = 5 };

/* The fields of all these requests: texts, and messages of one level. */
struct auth_req {
    struct slice text[TEXTS_MAX]; /* by field number; data NULL: it did not come */
};

static int req_decode(struct slice in, struct auth_req *out)
{
    struct auth_req r = {{SLICE_NULL}};
    struct wire_scan s;
    for (wire_scan_init(&s, in); wire_scan_next(&s);) {
        if (s.type == WIRE_LEN && s.field < TEXTS_MAX) {
            /* Present, also when it is empty. */
            r.text[s.field] = s.bytes.data != NULL ? s.bytes : SLICE_LIT("");
        }
    }
    if (s.err == 0) {
        *out = r;
    }
    return s.err;
}

bool apply_is_auth_request(uint32_t which)
{
    return which >= WIRE_INTERNAL_AUTH_ENABLE && which <= WIRE_INTERNAL_AUTH_ROLE_REVOKE_PERMISSION;
}

struct auth_who apply_who(const struct apply *a)
{
    return (struct auth_who){.user = a->req.username,
                             .revision = a->req.auth_revision,
                             .is_known = a->req.username.len > 0};
}

static bool has_no_password(struct slice options)
{
    struct wire_scan s;
    bool is = false;
    for (wire_scan_init(&s, options); wire_scan_next(&s);) {
        if (s.type == WIRE_VARINT && s.field == 1) {
            is = s.number != 0;
        }
    }
    return is;
}

static int login(struct apply *a, const struct auth_req *r, const struct apply_now *now,
                 struct buf *body)
{
    struct buf token = BUF_INIT;
    /* The text ends in the index before this entry, as the consistent index stands in etcd. */
    int err = auth_login(a->o.auth, r->text[1], r->text[3], now->index - 1, now->now_ms, &token);
    if (err == 0 && body != NULL) {
        wire_append_bytes(body, 2, buf_slice(&token));
    }
    buf_deinit(&token);
    return err;
}

static int status(const struct apply *a, struct buf *body)
{
    if (body != NULL) {
        wire_append_u64(body, 2, auth_is_enabled(a->o.auth));
        wire_append_u64(body, 3, auth_revision(a->o.auth));
    }
    return 0;
}

static int list_users(const struct apply *a, struct buf *body)
{
    for (size_t i = 0; body != NULL && i < auth_user_count(a->o.auth); i++) {
        wire_append_message(body, 2, auth_user_name_at(a->o.auth, i));
    }
    return 0;
}

static int list_roles(const struct apply *a, struct buf *body)
{
    for (size_t i = 0; body != NULL && i < auth_role_count(a->o.auth); i++) {
        wire_append_message(body, 2, auth_role_name_at(a->o.auth, i));
    }
    return 0;
}

/* Everybody may look at himself. */
static int get_user(struct apply *a, struct slice name, struct buf *body)
{
    const struct auth_who who = apply_who(a);
    int err = auth_check_root(a->o.auth, &who);
    if (err != 0 && !slice_equal(name, who.user)) {
        return err;
    }
    return auth_user_get(a->o.auth, name, body);
}

/* And at the roles that he has. */
static int get_role(struct apply *a, struct slice name, struct buf *body)
{
    const struct auth_who who = apply_who(a);
    int err = auth_check_root(a->o.auth, &who);
    if (err != 0 && !auth_has_role(a->o.auth, who.user, name)) {
        return err;
    }
    return auth_role_get(a->o.auth, name, body);
}

static int run_user(struct apply *a, const struct auth_req *r, struct buf *body)
{
    struct auth_store *s = a->o.auth;
    switch (a->req.which) {
    case WIRE_INTERNAL_AUTH_USER_ADD:
        return auth_user_add(s, r->text[1], has_no_password(r->text[3]),
                             &(struct auth_new_password){r->text[4], r->text[2]});
    case WIRE_INTERNAL_AUTH_USER_DELETE: return auth_user_delete(s, r->text[1]);
    case WIRE_INTERNAL_AUTH_USER_GET: return get_user(a, r->text[1], body);
    case WIRE_INTERNAL_AUTH_USER_CHANGE_PASSWORD:
        return auth_user_change_password(s, r->text[1],
                                         &(struct auth_new_password){r->text[3], r->text[2]});
    case WIRE_INTERNAL_AUTH_USER_GRANT_ROLE: return auth_user_grant(s, r->text[1], r->text[2]);
    case WIRE_INTERNAL_AUTH_USER_REVOKE_ROLE: return auth_user_revoke(s, r->text[1], r->text[2]);
    case WIRE_INTERNAL_AUTH_USER_LIST: return list_users(a, body);
    default: return list_roles(a, body);
    }
}

static int run_role(struct apply *a, const struct auth_req *r, struct buf *body)
{
    struct auth_store *s = a->o.auth;
    switch (a->req.which) {
    case WIRE_INTERNAL_AUTH_ROLE_ADD: return auth_role_add(s, r->text[1]);
    case WIRE_INTERNAL_AUTH_ROLE_DELETE: return auth_role_delete(s, r->text[1]);
    case WIRE_INTERNAL_AUTH_ROLE_GET: return get_role(a, r->text[1], body);
    case WIRE_INTERNAL_AUTH_ROLE_GRANT_PERMISSION:
        return auth_role_grant(s, r->text[1], r->text[2]);
    default: return auth_role_revoke(s, r->text[1], r->text[2], r->text[3]);
    }
}

int apply_auth_request(struct apply *a, const struct apply_now *now, struct buf *body)
{
    struct auth_req r;
    int err = req_decode(a->req.body, &r);
    if (err != 0) {
        return err;
    }
    switch (a->req.which) {
    case WIRE_INTERNAL_AUTH_ENABLE: return auth_enable(a->o.auth);
    case WIRE_INTERNAL_AUTH_DISABLE: auth_disable(a->o.auth); return 0;
    case WIRE_INTERNAL_AUTHENTICATE: return login(a, &r, now, body);
    case WIRE_INTERNAL_AUTH_STATUS: return status(a, body);
    default:
        return a->req.which < WIRE_INTERNAL_AUTH_ROLE_ADD ? run_user(a, &r, body)
                                                          : run_role(a, &r, body);
    }
}
