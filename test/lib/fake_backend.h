/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/fake_backend: the functions of backend/backend.h that mvcc and lease use, in memory.
 *
 * Records may be declared cold (ERR_COLD on the main loop, readable through a view). References
 * are counted, so that a test sees one that was not given back.
 */
#ifndef TEST_FAKE_BACKEND_H
#define TEST_FAKE_BACKEND_H

#include "backend/backend.h"
#include "mvcc/mvcc.h"

enum { FAKE_META = 1, FAKE_LEASE = 2, FAKE_BUCKETS = 3 };

struct backend *fake_backend_create(void);
void fake_backend_destroy(struct backend *b);
/* percent of the records with main <= main_max are cold; which ones depends on seed. */
void fake_backend_cold_set(struct backend *b, unsigned percent, int64_t main_max, uint64_t seed);
/* History: records with main <= main_max are in the view, later ones in the tail. */
void fake_backend_view_set(struct backend *b, int64_t main_max);
size_t fake_backend_record_count(const struct backend *b);
size_t fake_backend_refs(const struct backend *b);
/* A row of another bucket; false: not there. */
bool fake_backend_row(const struct backend *b, unsigned bucket, struct slice key,
                      struct slice *out);
/* Rows in key order, for loading. */
size_t fake_backend_row_count(const struct backend *b, unsigned bucket);
void fake_backend_row_at(const struct backend *b, unsigned bucket, size_t i, struct slice *key,
                         struct slice *value);

/* The records in order. */
struct fake_source {
    const struct backend *b;
    size_t at;
    uint8_t key[BACKEND_TOMBSTONE_BYTES];
};
struct mvcc_source fake_source_of(struct fake_source *f, const struct backend *b);

#endif
