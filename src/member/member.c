/* SPDX-License-Identifier: Apache-2.0
 *
 * member/member: one member: life, JSON, id.
 */
#include "member/member.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/json.h"

static bool parse_field(struct json_reader *r, const struct buf *key, struct member *m);

/* ---- life ---- */

void member_init(struct member *m)
{
    *m = (struct member){.name = mem_strdup("")};
}

void member_deinit(struct member *m)
{
    mem_free(m->name);
    strs_deinit(&m->peer_urls);
    strs_deinit(&m->client_urls);
    *m = (struct member){.name = NULL};
}

void member_copy(struct member *out, const struct member *from)
{
    *out = (struct member){
        .id = from->id, .name = mem_strdup(from->name), .is_learner = from->is_learner};
    strs_copy(&out->peer_urls, &from->peer_urls);
    strs_copy(&out->client_urls, &from->client_urls);
}

/* ---- JSON out ---- */

static void put_raft_fields(struct buf *out, const struct member *m)
{
    buf_append_cstr(out, "\"peerURLs\":");
    if (m->peer_urls.count == 0) {
        buf_append_cstr(out, "null");
    } else {
        strs_json(out, &m->peer_urls);
    }
    if (m->is_learner) {
        buf_append_cstr(out, ",\"isLearner\":true");
    }
}

/* Each field with a comma before it, but for the first one when is_first. */
static void put_attribute_fields(struct buf *out, const struct member *m, bool is_first)
{
    const char *comma = is_first ? "" : ",";
    if (member_is_started(m)) {
        buf_printf(out, "%s\"name\":", comma);
        json_put_go_string(out, slice_cstr(m->name));
        comma = ",";
    }
    if (m->client_urls.count > 0) {
        buf_printf(out, "%s\"clientURLs\":", comma);
        strs_json(out, &m->client_urls);
    }
}

void member_json(struct buf *out, const struct member *m)
{
    buf_printf(out, "{\"id\":%" PRIu64 ",", m->id);
    put_raft_fields(out, m);
    put_attribute_fields(out, m, false);
    buf_append_byte(out, '}');
}

void member_raft_attributes_json(struct buf *out, const struct member *m)
{
    buf_append_byte(out, '{');
    put_raft_fields(out, m);
    buf_append_byte(out, '}');
}

void member_attributes_json(struct buf *out, const struct member *m)
{
    buf_append_byte(out, '{');
    put_attribute_fields(out, m, true);
    buf_append_byte(out, '}');
}

void member_promote_json(struct buf *out, uint64_t id)
{
    buf_printf(out, "{\"id\":%" PRIu64 ",\"peerURLs\":null,\"isPromote\":true}", id);
}

/* ---- JSON in ---- */

/* A NUL cannot be part of a name or URL here. */
static bool parse_text(struct json_reader *r, struct buf *text)
{
    buf_clear(text);
    if (!json_string(r, text)) {
        return false;
    }
    if (text->len > 0 && memchr(text->data, 0, text->len) != NULL) {
        return json_fail(r, ERR_MALFORMED);
    }
    return true;
}

static void parse_strs(struct json_reader *r, struct strs *out)
{
    struct buf text = BUF_INIT;
    strs_deinit(out);
    if (json_array_begin(r)) {
        while (json_array_next(r)) {
            if (out->count == MEMBER_URLS_MAX) {
                (void)json_fail(r, ERR_LIMIT);
            } else if (parse_text(r, &text)) {
                strs_add(out, buf_slice(&text));
            }
        }
    }
    buf_deinit(&text);
}

static void parse_name(struct json_reader *r, struct member *m)
{
    struct buf text = BUF_INIT;
    if (json_peek(r) == JSON_NULL) {
        (void)json_skip(r);
    } else if (parse_text(r, &text)) {
        mem_free(m->name);
        m->name = mem_strndup(text.data, text.len);
    }
    buf_deinit(&text);
}

static bool parse_field(struct json_reader *r, const struct buf *key, struct member *m)
{
    if (json_key_is(key, "id")) {
        (void)json_u64(r, &m->id);
    } else if (json_key_is(key, "peerURLs")) {
        parse_strs(r, &m->peer_urls);
    } else if (json_key_is(key, "isLearner")) {
        (void)json_bool(r, &m->is_learner);
    } else if (json_key_is(key, "name")) {
        parse_name(r, m);
    } else if (json_key_is(key, "clientURLs")) {
        parse_strs(r, &m->client_urls);
    } else {
        return false;
    }
    return true;
}

/* is_promote NULL: that key is unknown. */
static int parse(struct slice json, struct member *m, bool *is_promote)
{
    struct json_reader r;
    struct buf key = BUF_INIT;
    struct member next;
    bool promote = false;
    member_copy(&next, m);
    json_init(&r, json);
    if (json_object_begin(&r)) {
        while (json_object_next(&r, &key)) {
            if (is_promote != NULL && json_key_is(&key, "isPromote")) {
                (void)json_bool(&r, &promote);
            } else if (!parse_field(&r, &key, &next)) {
                (void)json_skip(&r);
            }
        }
    }
    buf_deinit(&key);
    int err = json_end(&r);
    if (err != 0) {
        member_deinit(&next);
        return err;
    }
    member_deinit(m);
    *m = next;
    if (is_promote != NULL) {
        *is_promote = promote;
    }
    return 0;
}

int member_json_parse(struct slice json, struct member *m)
{
    return parse(json, m, NULL);
}

void member_context_deinit(struct member_context *c)
{
    member_deinit(&c->member);
}

int member_context_parse(struct slice json, struct member_context *out)
{
    struct member_context c = {.is_promote = false};
    member_init(&c.member);
    int err = parse(json, &c.member, &c.is_promote);
    if (err != 0) {
        member_deinit(&c.member);
        return err;
    }
    *out = c;
    return 0;
}

/* ---- id ---- */

uint64_t member_id_compute(const struct strs *peer_urls, const char *token, int64_t unix_s)
{
    struct strs sorted;
    struct buf text = BUF_INIT;
    uint8_t digest[SHA1_BYTES];
    strs_copy(&sorted, peer_urls);
    strs_sort(&sorted);
    strs_join(&text, &sorted, "");
    buf_append_cstr(&text, token);
    if (unix_s >= 0) {
        buf_printf(&text, "%" PRId64, unix_s);
    }
    sha1(text.data, text.len, digest);
    strs_deinit(&sorted);
    buf_deinit(&text);
    return load_be64(digest);
}

void member_put(struct backend *b, const struct member *m)
{
    struct buf json = BUF_INIT;
    member_json(&json, m);
    schema_put_member(b, m->id, buf_slice(&json));
    buf_deinit(&json);
}
