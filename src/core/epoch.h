/* SPDX-License-Identifier: Apache-2.0
 *
 * core/epoch: one database file, opened, and all that is built from it: schema, members, leases,
 * users and roles, keys.  Private to core.
 *
 * Problem     A received snapshot replaces the file while plans and views of the old one are open,
 *             and building the new one takes too long for the main loop.
 * Design      Everything that hangs on a file is one value.  A new one is made on any thread; the
 *             old one stays, frozen, until nobody reads it any more.
 * Ownership   The driver owns its epochs; the core works on the newest.
 * Thread      open and load: any, one at a time; the rest: main loop.
 * See         design.md 5; storage-formats 4.4, 4.5.
 */
#ifndef CORE_EPOCH_H
#define CORE_EPOCH_H

#include "auth/auth.h"
#include "lease/lessor.h"
#include "member/member.h"
#include "mvcc/mvcc.h"
#include "schema/schema.h"

struct driver;

struct epoch {
    struct list_node node; /* of the old ones */
    struct backend *backend;
    struct schema_boot schema; /* until the core has what it needs of it */
    bool has_schema;
    struct membership members;
    struct lessor *lessor;
    struct auth_store *auth;
    struct mvcc_store *store;
};

void epoch_init(struct epoch *e);
/* The file, its schema and members.  text: DRIVER_TEXT_BYTES, filled on failure; close after a
 * failure too. */
MUST_USE int epoch_open(struct epoch *e, struct driver *d, char *text);
/* Leases, users and roles, keys.  seed: lessor_options.hash_seed. */
MUST_USE int epoch_load(struct epoch *e, struct driver *d, uint64_t seed, char *text);
void epoch_schema_drop(struct epoch *e);
/* True while plans, views or hashes of it are open. */
bool epoch_is_read(const struct epoch *e);
void epoch_close(struct epoch *e);

#endif
