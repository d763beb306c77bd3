/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_backend.h"

#include "base/bytes.h"
#include "base/err.h"

struct record {
    struct backend_rev rev;
    uint8_t *bytes; /* NULL: removed */
    size_t len;
};

struct row {
    struct slice key; /* owned */
    struct slice value;
};

struct rows {
    struct row *rows;
    size_t len;
};

struct backend {
    struct record *records;
    size_t len;
    size_t cap;
    size_t refs;
    struct rows buckets[FAKE_BUCKETS];
    unsigned cold_percent;
    int64_t cold_main_max;
    uint64_t cold_seed;
    int64_t view_max;
};

struct backend *fake_backend_create(void)
{
    return mem_zalloc(sizeof(struct backend));
}

static void row_free(struct row *r)
{
    mem_free((void *)(uintptr_t)r->key.data);
    mem_free((void *)(uintptr_t)r->value.data);
}

void fake_backend_destroy(struct backend *b)
{
    for (size_t i = 0; i < b->len; i++) {
        mem_free(b->records[i].bytes);
    }
    for (int k = 0; k < FAKE_BUCKETS; k++) {
        for (size_t i = 0; i < b->buckets[k].len; i++) {
            row_free(&b->buckets[k].rows[i]);
        }
        mem_free(b->buckets[k].rows);
    }
    mem_free(b->records);
    mem_free(b);
}

void fake_backend_cold_set(struct backend *b, unsigned percent, int64_t main_max, uint64_t seed)
{
    b->cold_percent = percent;
    b->cold_main_max = main_max;
    b->cold_seed = seed;
}

size_t fake_backend_record_count(const struct backend *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->len; i++) {
        n += b->records[i].bytes != NULL ? 1 : 0;
    }
    return n;
}

size_t fake_backend_refs(const struct backend *b)
{
    return b->refs;
}

/* ---- revisions ---- */

size_t backend_rev_encode(struct backend_rev rev, uint8_t out[BACKEND_TOMBSTONE_BYTES])
{
    store_be64(out, (uint64_t)rev.main);
    out[8] = '_';
    store_be64(out + 9, (uint64_t)rev.sub);
    out[17] = 't';
    return rev.is_tombstone ? BACKEND_TOMBSTONE_BYTES : BACKEND_REV_BYTES;
}

int backend_rev_decode(struct slice key, struct backend_rev *out)
{
    bool is_tombstone = key.len == BACKEND_TOMBSTONE_BYTES;
    if ((!is_tombstone && key.len != BACKEND_REV_BYTES) || key.data[8] != '_' ||
        (is_tombstone && key.data[17] != 't')) {
        return ERR_MALFORMED;
    }
    *out = (struct backend_rev){(int64_t)load_be64(key.data), (int64_t)load_be64(key.data + 9),
                                is_tombstone};
    return 0;
}

static int rev_order(struct backend_rev a, struct backend_rev b)
{
    if (a.main != b.main) {
        return a.main < b.main ? -1 : 1;
    }
    return a.sub < b.sub ? -1 : (a.sub > b.sub ? 1 : 0);
}

static struct record *record_find(const struct backend *b, struct backend_rev rev)
{
    size_t lo = 0;
    size_t hi = b->len;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = rev_order(b->records[mid].rev, rev);
        if (c == 0) {
            return b->records[mid].bytes != NULL ? &b->records[mid] : NULL;
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

/* ---- changes ---- */

uint8_t *backend_record_add(struct backend *b, struct backend_rev rev, size_t len)
{
    ensure(b->len == 0 || rev_order(b->records[b->len - 1].rev, rev) < 0);
    if (b->len == b->cap) {
        b->cap = b->cap == 0 ? 64 : b->cap * 2;
        b->records = mem_realloc(b->records, b->cap * sizeof(*b->records));
    }
    struct record *r = &b->records[b->len++];
    *r = (struct record){rev, mem_alloc(len), len};
    return r->bytes;
}

void backend_record_remove(struct backend *b, struct backend_rev rev)
{
    struct record *r = record_find(b, rev);
    ensure(r != NULL && r->rev.is_tombstone == rev.is_tombstone);
    mem_free(r->bytes);
    r->bytes = NULL;
}

static size_t row_bound(const struct rows *rows, struct slice key)
{
    size_t i = 0;
    while (i < rows->len && slice_compare(rows->rows[i].key, key) < 0) {
        i++;
    }
    return i;
}

static struct slice copy(struct slice s)
{
    return slice_make(mem_strndup(s.data, s.len), s.len);
}

void backend_put(struct backend *b, unsigned bucket, struct slice key, struct slice value)
{
    struct rows *rows = &b->buckets[bucket];
    size_t at = row_bound(rows, key);
    if (at < rows->len && slice_equal(rows->rows[at].key, key)) {
        row_free(&rows->rows[at]);
    } else {
        rows->rows = mem_realloc(rows->rows, (rows->len + 1) * sizeof(struct row));
        memmove(&rows->rows[at + 1], &rows->rows[at], (rows->len - at) * sizeof(struct row));
        rows->len++;
    }
    rows->rows[at] = (struct row){copy(key), copy(value)};
}

void backend_delete(struct backend *b, unsigned bucket, struct slice key)
{
    struct rows *rows = &b->buckets[bucket];
    size_t at = row_bound(rows, key);
    if (at < rows->len && slice_equal(rows->rows[at].key, key)) {
        row_free(&rows->rows[at]);
        memmove(&rows->rows[at], &rows->rows[at + 1], (rows->len - at - 1) * sizeof(struct row));
        rows->len--;
    }
}

bool fake_backend_row(const struct backend *b, unsigned bucket, struct slice key, struct slice *out)
{
    const struct rows *rows = &b->buckets[bucket];
    size_t at = row_bound(rows, key);
    if (at == rows->len || !slice_equal(rows->rows[at].key, key)) {
        return false;
    }
    *out = rows->rows[at].value;
    return true;
}

size_t fake_backend_row_count(const struct backend *b, unsigned bucket)
{
    return b->buckets[bucket].len;
}

void fake_backend_row_at(const struct backend *b, unsigned bucket, size_t i, struct slice *key,
                         struct slice *value)
{
    *key = b->buckets[bucket].rows[i].key;
    *value = b->buckets[bucket].rows[i].value;
}

/* ---- reads ---- */

static bool is_cold(const struct backend *b, struct backend_rev rev)
{
    uint64_t h = ((uint64_t)rev.main * 1000003 + (uint64_t)rev.sub + b->cold_seed) *
                 UINT64_C(0x9e3779b97f4a7c15);
    return rev.main <= b->cold_main_max && (h >> 33) % 100 < b->cold_percent;
}

static int record_read(struct backend *b, struct backend_rev rev, struct backend_record *out)
{
    struct record *r = record_find(b, rev);
    if (r == NULL) {
        return ERR_NOT_FOUND;
    }
    b->refs++;
    *out = (struct backend_record){.value = {r->bytes, r->len}};
    out->pin.frame = (struct bolt_frame *)(void *)b;
    return 0;
}

int backend_record_get(struct backend *b, struct backend_rev rev, struct backend_record *out)
{
    return is_cold(b, rev) ? ERR_COLD : record_read(b, rev, out);
}

void backend_record_release(struct backend_record *r)
{
    struct backend *b = (struct backend *)(void *)r->pin.frame;
    ensure(b != NULL && b->refs > 0);
    b->refs--;
    *r = (struct backend_record){0};
}

/* A view shows the present: enough for who reads records that stay. */
struct backend_view *backend_view_pin(struct backend *b)
{
    return (struct backend_view *)(void *)b;
}

void backend_view_unpin(struct backend_view *v)
{
    (void)v;
}

int backend_view_record_get(struct backend_view *v, struct backend_rev rev,
                            struct backend_record *out)
{
    return record_read((struct backend *)(void *)v, rev, out);
}

/* ---- history ---- */

void fake_backend_view_set(struct backend *b, int64_t main_max)
{
    b->view_max = main_max;
}

static struct record *history_from(const struct backend *b, struct backend_rev rev)
{
    size_t lo = 0;
    while (lo < b->len &&
           (rev_order(b->records[lo].rev, rev) < 0 || b->records[lo].bytes == NULL)) {
        lo++;
    }
    return lo < b->len ? &b->records[lo] : NULL;
}

int64_t backend_tail_first(const struct backend *b)
{
    const struct record *r = history_from(b, (struct backend_rev){b->view_max + 1, 0, false});
    return r == NULL ? INT64_MAX : r->rev.main;
}

bool backend_tail_next(const struct backend *b, struct backend_rev from, struct backend_rev *out,
                       struct slice *value)
{
    const struct record *r = history_from(b, from);
    if (r != NULL) {
        *out = r->rev;
        *value = slice_make(r->bytes, r->len);
    }
    return r != NULL;
}

int backend_view_scan(struct backend_view *v, int64_t from,
                      int (*each)(void *arg, struct backend_rev rev, struct slice value), void *arg)
{
    const struct backend *b = (struct backend *)(void *)v;
    struct backend_rev rev = {.main = from};
    int err = 0;
    while (err == 0) {
        const struct record *r = history_from(b, rev);
        if (r == NULL) {
            return ERR_END;
        }
        err = each(arg, r->rev, slice_make(r->bytes, r->len));
        rev = (struct backend_rev){r->rev.main, r->rev.sub + 1, false};
    }
    return err;
}

/* ---- source ---- */

static int source_next(void *arg, struct slice *key, struct slice *value)
{
    struct fake_source *f = arg;
    while (f->at < f->b->len && f->b->records[f->at].bytes == NULL) {
        f->at++;
    }
    if (f->at == f->b->len) {
        return ERR_END;
    }
    const struct record *r = &f->b->records[f->at++];
    *key = slice_make(f->key, backend_rev_encode(r->rev, f->key));
    *value = slice_make(r->bytes, r->len);
    return 0;
}

struct mvcc_source fake_source_of(struct fake_source *f, const struct backend *b)
{
    *f = (struct fake_source){.b = b};
    return (struct mvcc_source){source_next, f};
}
