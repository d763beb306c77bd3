/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/record.h"

#include "auth/auth.h"

#include "wire/kv.h"

enum { USER_NAME = 1, USER_PASSWORD = 2, USER_ROLES = 3, USER_OPTIONS = 4 };
enum { OPTIONS_NO_PASSWORD = 1 };
enum { ROLE_NAME = 1, ROLE_PERMS = 2 };
enum { PERM_TYPE = 1, PERM_KEY = 2, PERM_RANGE_END = 3 };

struct slice auth_text(struct slice s)
{
    uint8_t *p = mem_alloc(s.len + 1);
    if (s.len > 0) {
        memcpy(p, s.data, s.len);
    }
    p[s.len] = 0;
    return slice_make(p, s.len);
}

void auth_text_free(struct slice *s)
{
    mem_free((void *)(uintptr_t)s->data);
    *s = SLICE_NULL;
}

static void text_set(struct slice *s, struct slice value)
{
    auth_text_free(s);
    *s = auth_text(value);
}

/* Room for one more; the capacity is always the next power of two. */
static void *grown(void *items, size_t count, size_t item)
{
    bool is_full = (count & (count - 1)) == 0;
    return is_full ? mem_realloc(items, (count == 0 ? 1 : count * 2) * item) : items;
}

/* ---- users ---- */

void auth_user_encode(const struct auth_user *u, struct buf *out)
{
    wire_append_bytes(out, USER_NAME, u->name);
    wire_append_bytes(out, USER_PASSWORD, u->password);
    for (size_t i = 0; i < u->role_count; i++) {
        wire_append_message(out, USER_ROLES, u->roles[i]); /* there, whatever its length */
    }
    if (u->has_options) {
        struct buf options = BUF_INIT;
        wire_append_u64(&options, OPTIONS_NO_PASSWORD, u->no_password);
        wire_append_message(out, USER_OPTIONS, buf_slice(&options));
        buf_deinit(&options);
    }
}

static void role_push(struct auth_user *u, struct slice role)
{
    u->roles = grown(u->roles, u->role_count, sizeof(*u->roles));
    u->roles[u->role_count++] = auth_text(role);
}

static int options_take(struct auth_user *u, struct slice in)
{
    struct wire_scan s;
    u->has_options = true;
    for (wire_scan_init(&s, in); wire_scan_next(&s);) {
        if (s.field == OPTIONS_NO_PASSWORD && s.type == WIRE_VARINT) {
            u->no_password = s.number != 0;
        }
    }
    return s.err;
}

static int user_field(struct auth_user *u, uint32_t field, struct slice bytes)
{
    switch (field) {
    case USER_NAME: text_set(&u->name, bytes); return 0;
    case USER_PASSWORD: text_set(&u->password, bytes); return 0;
    case USER_ROLES: role_push(u, bytes); return 0;
    case USER_OPTIONS: return options_take(u, bytes);
    default: return 0;
    }
}

int auth_user_decode(struct slice in, struct auth_user *out)
{
    struct auth_user u = {.name = auth_text(SLICE_NULL), .password = auth_text(SLICE_NULL)};
    struct wire_scan s;
    int err = 0;
    for (wire_scan_init(&s, in); err == 0 && wire_scan_next(&s);) {
        err = s.type == WIRE_LEN ? user_field(&u, s.field, s.bytes) : 0;
    }
    err = err != 0 ? err : s.err;
    if (err != 0) {
        auth_user_deinit(&u);
        return err;
    }
    *out = u;
    return 0;
}

void auth_user_deinit(struct auth_user *u)
{
    auth_text_free(&u->name);
    auth_text_free(&u->password);
    for (size_t i = 0; i < u->role_count; i++) {
        auth_text_free(&u->roles[i]);
    }
    mem_free(u->roles);
    *u = (struct auth_user){.role_count = 0};
}

size_t auth_user_role_at(const struct auth_user *u, struct slice role)
{
    size_t lo = 0, hi = u->role_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (slice_compare(u->roles[mid], role) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

bool auth_user_has_role(const struct auth_user *u, struct slice role)
{
    size_t i = auth_user_role_at(u, role);
    return i < u->role_count && slice_equal(u->roles[i], role);
}

void auth_user_role_add(struct auth_user *u, struct slice role)
{
    size_t at = auth_user_role_at(u, role);
    role_push(u, role);
    struct slice added = u->roles[u->role_count - 1];
    memmove(&u->roles[at + 1], &u->roles[at], (u->role_count - 1 - at) * sizeof(*u->roles));
    u->roles[at] = added;
}

size_t auth_user_role_remove(struct auth_user *u, struct slice role)
{
    size_t kept = 0, count = u->role_count;
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(u->roles[i], role)) {
            auth_text_free(&u->roles[i]);
        } else {
            u->roles[kept++] = u->roles[i];
        }
    }
    /* What is left may stand in a larger array: grown() goes by the count. */
    u->role_count = 0;
    struct slice *all = u->roles;
    u->roles = NULL;
    for (size_t i = 0; i < kept; i++) {
        u->roles = grown(u->roles, u->role_count, sizeof(*u->roles));
        u->roles[u->role_count++] = all[i];
    }
    mem_free(all);
    return count - kept;
}

/* ---- permissions ---- */

void auth_perm_encode(const struct auth_perm *p, struct buf *out)
{
    wire_append_u64(out, PERM_TYPE, (uint64_t)(int64_t)p->type);
    wire_append_bytes(out, PERM_KEY, p->key);
    wire_append_bytes(out, PERM_RANGE_END, p->range_end);
}

int auth_perm_decode(struct slice in, struct auth_perm *out)
{
    struct auth_perm p = {.type = AUTH_PERM_READ};
    struct wire_scan s;
    for (wire_scan_init(&s, in); wire_scan_next(&s);) {
        if (s.type == WIRE_VARINT && s.field == PERM_TYPE) {
            p.type = (int32_t)(uint32_t)s.number;
        } else if (s.type == WIRE_LEN && s.field == PERM_KEY) {
            p.key = s.bytes;
        } else if (s.type == WIRE_LEN && s.field == PERM_RANGE_END) {
            p.range_end = s.bytes;
        }
    }
    if (s.err == 0) {
        *out = p;
    }
    return s.err;
}

int auth_perm_plain(struct slice perm, struct buf *out)
{
    struct auth_perm p;
    int err = auth_perm_decode(perm, &p);
    if (err == 0) {
        auth_perm_encode(&p, out);
    }
    return err;
}

static void perm_free(struct auth_perm *p)
{
    auth_text_free(&p->key);
    auth_text_free(&p->range_end);
}

/* ---- roles ---- */

void auth_role_encode(const struct auth_role *r, struct buf *out)
{
    struct buf perm = BUF_INIT;
    wire_append_bytes(out, ROLE_NAME, r->name);
    for (size_t i = 0; i < r->perm_count; i++) {
        buf_clear(&perm);
        auth_perm_encode(&r->perms[i], &perm);
        wire_append_message(out, ROLE_PERMS, buf_slice(&perm));
    }
    buf_deinit(&perm);
}

static void perm_push(struct auth_role *r, const struct auth_perm *p)
{
    r->perms = grown(r->perms, r->perm_count, sizeof(*r->perms));
    r->perms[r->perm_count++] = (struct auth_perm){
        .type = p->type, .key = auth_text(p->key), .range_end = auth_text(p->range_end)};
}

static int perm_take(struct auth_role *r, struct slice in)
{
    struct auth_perm p;
    int err = auth_perm_decode(in, &p);
    if (err == 0) {
        perm_push(r, &p);
    }
    return err;
}

int auth_role_decode(struct slice in, struct auth_role *out)
{
    struct auth_role r = {.name = auth_text(SLICE_NULL)};
    struct wire_scan s;
    int err = 0;
    for (wire_scan_init(&s, in); err == 0 && wire_scan_next(&s);) {
        if (s.type == WIRE_LEN && s.field == ROLE_NAME) {
            text_set(&r.name, s.bytes);
        } else if (s.type == WIRE_LEN && s.field == ROLE_PERMS) {
            err = perm_take(&r, s.bytes);
        }
    }
    err = err != 0 ? err : s.err;
    if (err != 0) {
        auth_role_deinit(&r);
        return err;
    }
    *out = r;
    return 0;
}

void auth_role_deinit(struct auth_role *r)
{
    auth_text_free(&r->name);
    for (size_t i = 0; i < r->perm_count; i++) {
        perm_free(&r->perms[i]);
    }
    mem_free(r->perms);
    *r = (struct auth_role){.perm_count = 0};
}

/* The first permission whose key is not below this one. */
static size_t perm_at(const struct auth_role *r, struct slice key)
{
    size_t lo = 0, hi = r->perm_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (slice_compare(r->perms[mid].key, key) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

void auth_role_perm_add(struct auth_role *r, const struct auth_perm *p)
{
    size_t at = perm_at(r, p->key);
    bool is_same = at < r->perm_count && slice_equal(r->perms[at].key, p->key) &&
                   slice_equal(r->perms[at].range_end, p->range_end);
    if (is_same) {
        r->perms[at].type = p->type;
        return;
    }
    perm_push(r, p);
    struct auth_perm added = r->perms[r->perm_count - 1];
    size_t to = r->perm_count - 1;
    for (; to > 0 && slice_compare(added.key, r->perms[to - 1].key) < 0; to--) {
        r->perms[to] = r->perms[to - 1];
    }
    r->perms[to] = added;
}

size_t auth_role_perm_remove(struct auth_role *r, struct slice key, struct slice range_end)
{
    size_t count = r->perm_count;
    struct auth_perm *all = r->perms;
    r->perms = NULL;
    r->perm_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(all[i].key, key) && slice_equal(all[i].range_end, range_end)) {
            perm_free(&all[i]);
        } else {
            r->perms = grown(r->perms, r->perm_count, sizeof(*r->perms));
            r->perms[r->perm_count++] = all[i];
        }
    }
    mem_free(all);
    return count - r->perm_count;
}
