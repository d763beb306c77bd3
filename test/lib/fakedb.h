/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/fakedb: what schema and member call of backend and bolt, over sorted lists in memory, so
 * that their unit tests need neither.  Links in place of those libraries.
 */
#ifndef TEST_FAKEDB_H
#define TEST_FAKEDB_H

#include "backend/backend.h"

struct fakedb;

struct fakedb *fakedb_create(const char *const *names, size_t count);
void fakedb_destroy(struct fakedb *db);
/* The one struct seen through the types of the interfaces. */
struct bolt_tx *fakedb_tx(struct fakedb *db);
struct backend *fakedb_backend(struct fakedb *db);
struct backend_batch *fakedb_batch(struct fakedb *db);
/* NULL data when the key is not there. */
struct slice fakedb_get(struct fakedb *db, const char *bucket, struct slice key);
void fakedb_put(struct fakedb *db, const char *bucket, struct slice key, struct slice value);
size_t fakedb_count(struct fakedb *db, const char *bucket);

#endif
