/* SPDX-License-Identifier: Apache-2.0 */
#include "fakedb.h"

#include "base/err.h"

struct pair {
    struct buf key;
    struct buf value;
};

struct bolt_bucket {
    struct buf name;
    struct pair *pairs;
    size_t count;
};

struct fakedb {
    struct bolt_bucket *buckets[64];
    size_t count;
    const char *const *names;
};

static struct fakedb *db_of(void *p)
{
    return p;
}

static void bucket_free(struct bolt_bucket *b)
{
    for (size_t i = 0; i < b->count; i++) {
        buf_deinit(&b->pairs[i].key);
        buf_deinit(&b->pairs[i].value);
    }
    mem_free(b->pairs);
    buf_deinit(&b->name);
    mem_free(b);
}

static struct bolt_bucket *find(struct fakedb *db, struct slice name)
{
    for (size_t i = 0; i < db->count; i++) {
        if (slice_equal(buf_slice(&db->buckets[i]->name), name)) {
            return db->buckets[i];
        }
    }
    return NULL;
}

static struct bolt_bucket *find_or_add(struct fakedb *db, struct slice name)
{
    struct bolt_bucket *b = find(db, name);
    if (b == NULL) {
        ensure(db->count < ARRAY_LEN(db->buckets));
        b = mem_zalloc(sizeof(*b));
        buf_append_slice(&b->name, name);
        db->buckets[db->count++] = b;
    }
    return b;
}

static size_t position(const struct bolt_bucket *b, struct slice key, bool *out_found)
{
    size_t i = 0;
    while (i < b->count && slice_compare(buf_slice(&b->pairs[i].key), key) < 0) {
        i++;
    }
    *out_found = i < b->count && slice_equal(buf_slice(&b->pairs[i].key), key);
    return i;
}

static void put(struct bolt_bucket *b, struct slice key, struct slice value)
{
    bool found;
    size_t i = position(b, key, &found);
    if (!found) {
        b->pairs = mem_realloc(b->pairs, (b->count + 1) * sizeof(b->pairs[0]));
        memmove(&b->pairs[i + 1], &b->pairs[i], (b->count - i) * sizeof(b->pairs[0]));
        b->pairs[i] = (struct pair){BUF_INIT, BUF_INIT};
        buf_append_slice(&b->pairs[i].key, key);
        b->count++;
    }
    buf_clear(&b->pairs[i].value);
    buf_append_slice(&b->pairs[i].value, value);
}

static void del(struct bolt_bucket *b, struct slice key)
{
    bool found;
    size_t i = position(b, key, &found);
    if (found) {
        buf_deinit(&b->pairs[i].key);
        buf_deinit(&b->pairs[i].value);
        b->count--;
        memmove(&b->pairs[i], &b->pairs[i + 1], (b->count - i) * sizeof(b->pairs[0]));
    }
}

/* ---- the test's side ---- */

struct fakedb *fakedb_create(const char *const *names, size_t count)
{
    struct fakedb *db = mem_zalloc(sizeof(*db));
    db->names = names;
    for (size_t i = 0; i < count; i++) {
        (void)find_or_add(db, slice_cstr(names[i]));
    }
    return db;
}

void fakedb_destroy(struct fakedb *db)
{
    for (size_t i = 0; i < db->count; i++) {
        bucket_free(db->buckets[i]);
    }
    mem_free(db);
}

struct bolt_tx *fakedb_tx(struct fakedb *db)
{
    return (struct bolt_tx *)(void *)db;
}

struct backend *fakedb_backend(struct fakedb *db)
{
    return (struct backend *)(void *)db;
}

struct backend_batch *fakedb_batch(struct fakedb *db)
{
    return (struct backend_batch *)(void *)db;
}

struct slice fakedb_get(struct fakedb *db, const char *bucket, struct slice key)
{
    bool found = false;
    struct bolt_bucket *b = find(db, slice_cstr(bucket));
    size_t i = b == NULL ? 0 : position(b, key, &found);
    if (!found) {
        return SLICE_NULL;
    }
    return slice_make(b->pairs[i].value.len == 0 ? (const uint8_t *)"" : b->pairs[i].value.data,
                      b->pairs[i].value.len);
}

void fakedb_put(struct fakedb *db, const char *bucket, struct slice key, struct slice value)
{
    put(find_or_add(db, slice_cstr(bucket)), key, value);
}

size_t fakedb_count(struct fakedb *db, const char *bucket)
{
    struct bolt_bucket *b = find(db, slice_cstr(bucket));
    return b == NULL ? 0 : b->count;
}

/* ---- backend ---- */

void backend_put(struct backend *b, unsigned bucket, struct slice key, struct slice value)
{
    struct fakedb *db = db_of(b);
    put(find_or_add(db, slice_cstr(db->names[bucket])), key, value);
}

void backend_delete(struct backend *b, unsigned bucket, struct slice key)
{
    struct fakedb *db = db_of(b);
    del(find_or_add(db, slice_cstr(db->names[bucket])), key);
}

void backend_batch_put(struct backend_batch *batch, unsigned bucket, struct slice key,
                       struct slice value)
{
    struct fakedb *db = db_of(batch);
    put(find_or_add(db, slice_cstr(db->names[bucket])), key, value);
}

/* ---- bolt ---- */

int bolt_bucket_open(struct bolt_tx *tx, struct bolt_bucket *parent, unsigned read_flags,
                     struct slice name, struct bolt_bucket **out)
{
    (void)parent;
    (void)read_flags;
    struct bolt_bucket *b = find(db_of(tx), name);
    if (b == NULL) {
        return ERR_NOT_FOUND;
    }
    *out = b;
    return 0;
}

int bolt_bucket_create(struct bolt_tx *tx, struct bolt_bucket *parent, struct slice name,
                       struct bolt_bucket **out)
{
    (void)parent;
    if (find(db_of(tx), name) != NULL) {
        return ERR_EXISTS;
    }
    *out = find_or_add(db_of(tx), name);
    return 0;
}

int bolt_bucket_create_if_missing(struct bolt_tx *tx, struct bolt_bucket *parent, struct slice name,
                                  struct bolt_bucket **out)
{
    (void)parent;
    *out = find_or_add(db_of(tx), name);
    return 0;
}

int bolt_bucket_delete(struct bolt_tx *tx, struct bolt_bucket *parent, struct slice name)
{
    (void)parent;
    struct fakedb *db = db_of(tx);
    for (size_t i = 0; i < db->count; i++) {
        if (slice_equal(buf_slice(&db->buckets[i]->name), name)) {
            bucket_free(db->buckets[i]);
            db->buckets[i] = db->buckets[--db->count];
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

int bolt_bucket_put(struct bolt_bucket *b, struct slice key, struct slice value)
{
    put(b, key, value);
    return 0;
}

int bolt_bucket_delete_key(struct bolt_bucket *b, struct slice key)
{
    del(b, key);
    return 0;
}

void bolt_cursor_init(struct bolt_cursor *c, struct bolt_tx *tx, struct bolt_bucket *bucket,
                      unsigned read_flags)
{
    memset(c, 0, sizeof(*c));
    c->tx = tx;
    c->bucket = bucket;
    c->read_flags = read_flags;
}

void bolt_cursor_release(struct bolt_cursor *c)
{
    (void)c;
}

/* depth counts the items that were given out. */
int bolt_cursor_next(struct bolt_cursor *c, struct bolt_item *out)
{
    if (c->depth == c->bucket->count) {
        return ERR_END;
    }
    struct pair *p = &c->bucket->pairs[c->depth++];
    *out = (struct bolt_item){buf_slice(&p->key), buf_slice(&p->value), false};
    return 0;
}

int bolt_cursor_first(struct bolt_cursor *c, struct bolt_item *out)
{
    c->depth = 0;
    return bolt_cursor_next(c, out);
}
