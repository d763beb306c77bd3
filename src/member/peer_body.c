/* SPDX-License-Identifier: Apache-2.0 */
#include "member/peer_body.h"

#include <inttypes.h>

#include "base/gotext.h"
#include "base/json.h"

enum { HTTP_OK = 200, HTTP_BAD_REQUEST = 400, HTTP_NOT_FOUND = 404 };
enum { HTTP_PRECONDITION = 412 };

/* Texts of the handlers; the client port says some of these in other words. */
#define TEXT_NOT_LEARNER "membership: can only promote a learner member"
#define TEXT_COMPACTED "mvcc: required revision has been compacted"
#define TEXT_FUTURE "mvcc: required revision is a future revision"
#define TEXT_CLUSTER_ID "cluster ID mismatch"

static bool body_has(struct slice body, const char *text)
{
    return body.data != NULL && memmem(body.data, body.len, text, strlen(text)) != NULL;
}

/* ---- /members ---- */

void member_list_json(struct buf *out, const struct membership *ms)
{
    if (ms->count == 0) {
        buf_append_cstr(out, "null");
        return;
    }
    for (size_t i = 0; i < ms->count; i++) {
        buf_append_byte(out, i == 0 ? '[' : ',');
        member_json(out, &ms->members[i]);
    }
    buf_append_byte(out, ']');
}

/* The bytes of the value that comes next. */
static struct slice take_value(struct json_reader *r)
{
    const uint8_t *start = r->p;
    return json_skip(r) ? slice_make(start, (size_t)(r->p - start)) : SLICE_NULL;
}

static int take_member(struct json_reader *r, struct membership *ms)
{
    struct slice json = take_value(r);
    struct member m;
    if (json.data == NULL) {
        return ERR_MALFORMED;
    }
    member_init(&m);
    int err = member_json_parse(json, &m);
    if (err == 0 && ms->count == SCHEMA_MEMBERS_MAX) {
        err = ERR_LIMIT;
    }
    /* Go keeps the last of two with one id; nobody sends that. */
    if (err == 0 && (m.id == 0 || membership_find(ms, m.id) != NULL)) {
        err = ERR_MALFORMED;
    }
    if (err != 0) {
        member_deinit(&m);
        return err;
    }
    (void)membership_add(ms, &m);
    return 0;
}

int member_list_parse(struct slice json, struct membership *out)
{
    struct json_reader r;
    struct membership ms;
    int err = json.len > MEMBER_BODY_MAX ? ERR_LIMIT : 0;
    membership_init(&ms);
    json_init(&r, json);
    if (err == 0 && json_array_begin(&r)) {
        while (err == 0 && json_array_next(&r)) {
            err = take_member(&r, &ms);
        }
    }
    if (err == 0) {
        err = json_end(&r);
    }
    if (err != 0) {
        membership_deinit(&ms);
        return err;
    }
    *out = ms;
    return 0;
}

/* ---- /version ---- */

void member_versions_json(struct buf *out, const char *server, struct semver cluster,
                          bool has_storage, struct semver storage)
{
    char text[SEMVER_TEXT_MAX] = "not_decided";
    if (!semver_is_none(cluster)) {
        semver_format(cluster, text);
    }
    buf_printf(out, "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\"", server, text);
    if (has_storage) {
        memcpy(text, "unknown", sizeof("unknown"));
        if (!semver_is_none(storage)) {
            semver_format(storage, text);
        }
        buf_printf(out, ",\"storage\":\"%s\"", text);
    }
    buf_append_byte(out, '}');
}

static void take_version(struct json_reader *r, char out[MEMBER_VERSION_TEXT_MAX])
{
    struct buf text = BUF_INIT;
    if (json_peek(r) == JSON_NULL) {
        (void)json_skip(r);
    } else if (json_string(r, &text)) {
        size_t n = text.len < MEMBER_VERSION_TEXT_MAX ? text.len : MEMBER_VERSION_TEXT_MAX - 1;
        if (n > 0) {
            memcpy(out, text.data, n);
        }
        out[n] = '\0';
    }
    buf_deinit(&text);
}

int member_versions_parse(struct slice json, struct member_versions *out)
{
    struct json_reader r;
    struct buf key = BUF_INIT;
    struct member_versions v = {.server = ""};
    json_init(&r, json);
    if (json_object_begin(&r)) {
        while (json_object_next(&r, &key)) {
            if (json_key_is(&key, "etcdserver")) {
                take_version(&r, v.server);
            } else if (json_key_is(&key, "etcdcluster")) {
                take_version(&r, v.cluster);
            } else if (json_key_is(&key, "storage")) {
                take_version(&r, v.storage);
            } else {
                (void)json_skip(&r);
            }
        }
    }
    buf_deinit(&key);
    int err = json_end(&r);
    if (err == 0) {
        *out = v;
    }
    return err;
}

/* ---- /members/hashkv ---- */

void member_hash_request_json(struct buf *out, int64_t rev)
{
    if (rev == 0) {
        buf_append_cstr(out, "{}"); /* zero is left out */
    } else {
        buf_printf(out, "{\"revision\":%" PRId64 "}", rev);
    }
}

static void take_header(struct json_reader *r, struct member_hash *h)
{
    struct buf key = BUF_INIT;
    if (json_object_begin(r)) {
        while (json_object_next(r, &key)) {
            if (json_key_is(&key, "revision")) {
                (void)json_i64(r, &h->rev);
            } else {
                (void)json_skip(r);
            }
        }
    }
    buf_deinit(&key);
}

static void take_hash_field(struct json_reader *r, const struct buf *key, struct member_hash *h)
{
    uint64_t hash = 0;
    if (json_key_is(key, "header")) {
        take_header(r, h);
    } else if (json_key_is(key, "hash")) {
        if (json_u64(r, &hash) && hash > UINT32_MAX) {
            (void)json_fail(r, ERR_MALFORMED);
        }
        h->hash = (uint32_t)hash;
    } else if (json_key_is(key, "compact_revision")) {
        (void)json_i64(r, &h->compact_rev);
    } else if (json_key_is(key, "hash_revision")) {
        (void)json_i64(r, &h->hash_rev);
    } else {
        (void)json_skip(r);
    }
}

static int hash_parse(struct slice json, struct member_hash *out)
{
    struct json_reader r;
    struct buf key = BUF_INIT;
    struct member_hash h = {0};
    json_init(&r, json);
    if (json_object_begin(&r)) {
        while (json_object_next(&r, &key)) {
            take_hash_field(&r, &key, &h);
        }
    }
    buf_deinit(&key);
    int err = json_end(&r);
    if (err == 0 && h.rev <= 0) {
        err = ERR_MALFORMED; /* every store is at 1 or above: this is no answer to our question */
    }
    if (err == 0) {
        *out = h;
    }
    return err;
}

int member_hash_answer(unsigned status, struct slice body, struct member_hash *out)
{
    if (status == HTTP_BAD_REQUEST && body_has(body, TEXT_COMPACTED)) {
        return ERR_RPC_COMPACTED;
    }
    if (status == HTTP_BAD_REQUEST && body_has(body, TEXT_FUTURE)) {
        return ERR_RPC_FUTURE_REV;
    }
    if (status == HTTP_PRECONDITION && body_has(body, TEXT_CLUSTER_ID)) {
        return ERR_RPC_CLUSTER_ID_MISMATCH;
    }
    return status == HTTP_OK ? hash_parse(body, out) : ERR_MALFORMED;
}

/* ---- /members/promote ---- */

int member_promote_answer(unsigned status, struct slice body, struct membership *out)
{
    switch (status) {
    case HTTP_OK: return member_list_parse(body, out) == 0 ? 0 : ERR_AGAIN;
    case HTTP_NOT_FOUND: return ERR_RPC_MEMBER_NOT_FOUND;
    case HTTP_PRECONDITION:
        if (body_has(body, err_text(ERR_RPC_LEARNER_NOT_READY))) {
            return ERR_RPC_LEARNER_NOT_READY;
        }
        return body_has(body, TEXT_NOT_LEARNER) ? ERR_RPC_MEMBER_NOT_LEARNER : ERR_AGAIN;
    default: return ERR_AGAIN;
    }
}
