/* SPDX-License-Identifier: Apache-2.0 */
#include "load_op.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "load_put.h"

enum { VALUES_BYTES = 1 << 20, VALUE_BYTES_MAX = 8192, KEY_BYTES_MAX = 64 };

enum path { PATH_PUT, PATH_RANGE, PATH_TXN, PATH_DELETE };

const char *const load_op_paths[] = {
    [PATH_PUT] = "/etcdserverpb.KV/Put",
    [PATH_RANGE] = "/etcdserverpb.KV/Range",
    [PATH_TXN] = "/etcdserverpb.KV/Txn",
    [PATH_DELETE] = "/etcdserverpb.KV/DeleteRange",
};

/* ---- bytes ---- */

struct key {
    char text[KEY_BYTES_MAX];
};

static struct slice key_at(const struct load_ops *o, uint64_t n, struct key *k)
{
    size_t len = strlen(o->prefix);
    memcpy(k->text, o->prefix, len);
    for (size_t i = 10; i-- > 0; n /= 10) {
        k->text[len + i] = (char)('0' + n % 10);
    }
    return slice_make(k->text, len + 10);
}

static struct slice random_key(struct load_ops *o, struct key *k)
{
    return key_at(o, prng_below(&o->prng, o->keys), k);
}

static struct slice random_value(struct load_ops *o)
{
    return slice_make(o->values + prng_below(&o->prng, VALUES_BYTES - o->value_bytes),
                      o->value_bytes);
}

/* header.revision of a reply: every response begins with its header. */
static uint64_t reply_revision(const struct load_slot *s)
{
    const uint8_t *p = s->head + 5, *end = s->head + sizeof(s->head);
    uint64_t len = 0, field = 0, v = 0, revision = 0;
    if (s->reply_bytes < 7 || *p++ != 0x0a) {
        return 0;
    }
    p += varint_get(p, (size_t)(end - p), &len);
    for (const uint8_t *stop = p + len; p < stop && stop <= end;) {
        size_t n = varint_get(p, (size_t)(stop - p), &field);
        size_t m = n == 0 ? 0 : varint_get(p + n, (size_t)(stop - p) - n, &v);
        if (m == 0) {
            break;
        }
        revision = field == 3 << 3 ? v : revision;
        p += n + m;
    }
    return revision;
}

/* What follows the header in a reply, as far as it was kept. */
static uint8_t byte_behind_header(const struct load_slot *s)
{
    size_t at = 5 + 2 + (size_t)s->head[6];
    return at < sizeof(s->head) && at < s->reply_bytes ? s->head[at] : 0;
}

/* ---- loads ---- */

static void build_put_of(struct load_ops *o, struct buf *b, struct slice key)
{
    load_put_bytes(b, 1, key);
    load_put_bytes(b, 2, random_value(o));
}

static unsigned build_put(struct load_ops *o, struct load_slot *s)
{
    (void)s;
    struct key k;
    build_put_of(o, &o->message, random_key(o, &k));
    return PATH_PUT;
}

static unsigned build_get(struct load_ops *o, struct load_slot *s)
{
    (void)s;
    struct key k;
    load_put_bytes(&o->message, 1, random_key(o, &k));
    return PATH_RANGE;
}

static unsigned build_get_serializable(struct load_ops *o, struct load_slot *s)
{
    unsigned path = build_get(o, s);
    load_put_number(&o->message, 7, 1);
    return path;
}

/* The keys are all there: a get finds one value. */
static bool check_get(struct load_ops *o, struct load_slot *s)
{
    return s->reply_bytes > o->value_bytes;
}

static unsigned build_list(struct load_ops *o, struct load_slot *s)
{
    (void)s;
    struct key k, end;
    uint64_t first = o->keys > o->limit ? prng_below(&o->prng, o->keys - o->limit) : 0;
    load_put_bytes(&o->message, 1, key_at(o, first, &k));
    load_put_bytes(&o->message, 2, key_at(o, first + o->limit, &end));
    load_put_number(&o->message, 3, o->limit);
    return PATH_RANGE;
}

static bool check_list(struct load_ops *o, struct load_slot *s)
{
    return s->reply_bytes > o->limit * o->value_bytes;
}

/* Compare of mod_revision with what this stream wrote last, then the put; keys are the stream's
 * own. */
static unsigned build_txn(struct load_ops *o, struct load_slot *s)
{
    struct key k;
    struct slice key = key_at(o, s->number % o->keys, &k);
    buf_clear(&o->inner);
    load_put_number(&o->inner, 2, 2); /* target MOD; result EQUAL is 0 */
    load_put_bytes(&o->inner, 3, key);
    load_put_number(&o->inner, 6, s->note);
    load_put_bytes(&o->message, 1, buf_slice(&o->inner));
    buf_clear(&o->op);
    build_put_of(o, &o->op, key);
    buf_clear(&o->inner);
    load_put_bytes(&o->inner, 2, buf_slice(&o->op));
    load_put_bytes(&o->message, 2, buf_slice(&o->inner));
    return PATH_TXN;
}

static bool check_txn(struct load_ops *o, struct load_slot *s)
{
    (void)o;
    s->note = reply_revision(s);
    return byte_behind_header(s) == 2 << 3; /* succeeded */
}

static unsigned build_delete(struct load_ops *o, struct load_slot *s)
{
    (void)s;
    struct key k;
    load_put_bytes(&o->message, 1, key_at(o, o->next++, &k));
    return PATH_DELETE;
}

static bool check_delete(struct load_ops *o, struct load_slot *s)
{
    (void)o;
    return byte_behind_header(s) == 2 << 3; /* deleted */
}

/* Puts in order, many to a transaction: to fill a store. */
static unsigned build_fill(struct load_ops *o, struct load_slot *s)
{
    (void)s;
    for (uint64_t i = 0; i < o->batch; i++) {
        struct key k;
        buf_clear(&o->op);
        build_put_of(o, &o->op, key_at(o, o->next++ % o->keys, &k));
        buf_clear(&o->inner);
        load_put_bytes(&o->inner, 2, buf_slice(&o->op));
        load_put_bytes(&o->message, 2, buf_slice(&o->inner));
    }
    return PATH_TXN;
}

/* 60% get, 10% get serializable, 25% put, 5% lists of ten. */
static unsigned build_mixed(struct load_ops *o, struct load_slot *s)
{
    uint64_t dice = prng_below(&o->prng, 100), limit = o->limit;
    if (dice < 25) {
        return build_put(o, s);
    }
    if (dice < 30) {
        o->limit = 10;
        unsigned path = build_list(o, s);
        o->limit = limit;
        return path;
    }
    return dice < 40 ? build_get_serializable(o, s) : build_get(o, s);
}

static const struct load_op ops[] = {
    {"put", build_put, NULL},
    {"get", build_get, check_get},
    {"get-serializable", build_get_serializable, check_get},
    {"list", build_list, check_list},
    {"txn", build_txn, check_txn},
    {"delete", build_delete, check_delete},
    {"mixed", build_mixed, NULL},
    {"fill", build_fill, NULL},
};

const struct load_op *load_op_at(size_t i)
{
    return i < sizeof(ops) / sizeof(ops[0]) ? &ops[i] : NULL;
}

const struct load_op *load_op_find(const char *name)
{
    for (size_t i = 0; load_op_at(i) != NULL; i++) {
        if (strcmp(ops[i].name, name) == 0) {
            return &ops[i];
        }
    }
    return NULL;
}

/* ---- life ---- */

void load_ops_init(struct load_ops *o, uint64_t seed)
{
    if (o->value_bytes > VALUE_BYTES_MAX || strlen(o->prefix) + 11 > KEY_BYTES_MAX) {
        load_die("values have at most %d bytes, prefixes %d", VALUE_BYTES_MAX, KEY_BYTES_MAX - 11);
    }
    prng_init(&o->prng, seed);
    o->values = mem_alloc(VALUES_BYTES);
    for (size_t i = 0; i < VALUES_BYTES; i += 8) {
        store_le64(o->values + i, prng_next(&o->prng));
    }
}

void load_ops_deinit(struct load_ops *o)
{
    mem_free(o->values);
    buf_deinit(&o->message);
    buf_deinit(&o->inner);
    buf_deinit(&o->op);
}
