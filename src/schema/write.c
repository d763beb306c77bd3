/* SPDX-License-Identifier: Apache-2.0
 *
 * schema/write: puts and deletes of everything but records.
 */
#include "base/bytes.h"
#include "schema/schema.h"

static struct slice be64(uint64_t v, uint8_t out[8])
{
    store_be64(out, v);
    return slice_make(out, 8);
}

static struct slice semver_slice(struct semver v, char out[SEMVER_TEXT_MAX])
{
    semver_format(v, out);
    return slice_cstr(out);
}

static struct slice rev_slice(int64_t main, uint8_t out[BACKEND_TOMBSTONE_BYTES])
{
    ensure(main >= 0);
    memset(out, 0, BACKEND_TOMBSTONE_BYTES);
    store_be64(out, (uint64_t)main);
    out[8] = '_';
    return slice_make(out, BACKEND_REV_BYTES);
}

/* ---- every commit ---- */

void schema_batch_put_index(struct backend_batch *batch, uint64_t index, uint64_t term)
{
    uint8_t bytes[8];
    if (index == 0) {
        return; /* it would say that nothing was ever applied */
    }
    backend_batch_put(batch, SCHEMA_META, slice_cstr(SCHEMA_META_CONSISTENT_INDEX),
                      be64(index, bytes));
    if (term > 0) {
        backend_batch_put(batch, SCHEMA_META, slice_cstr(SCHEMA_META_TERM), be64(term, bytes));
    }
}

void schema_batch_put_conf_state(struct backend_batch *batch, const struct raft_conf_state *cs)
{
    struct buf json = BUF_INIT;
    schema_conf_state_encode(&json, cs);
    backend_batch_put(batch, SCHEMA_META, slice_cstr(SCHEMA_META_CONF_STATE), buf_slice(&json));
    buf_deinit(&json);
}

/* ---- meta and cluster ---- */

void schema_put_storage_version(struct backend *b, struct semver v)
{
    char text[SEMVER_TEXT_MAX];
    backend_put(b, SCHEMA_META, slice_cstr(SCHEMA_META_STORAGE_VERSION), semver_slice(v, text));
}

void schema_delete_storage_version(struct backend *b)
{
    backend_delete(b, SCHEMA_META, slice_cstr(SCHEMA_META_STORAGE_VERSION));
}

void schema_storage_step(struct backend *b, const struct level_storage_step *step)
{
    switch (step->action) {
    case LEVEL_STORAGE_SET: schema_put_storage_version(b, step->version); break;
    case LEVEL_STORAGE_DELETE: schema_delete_storage_version(b); break;
    case LEVEL_STORAGE_KEEP:
    default: break;
    }
}

void schema_put_scheduled_compact(struct backend *b, int64_t rev)
{
    uint8_t bytes[BACKEND_TOMBSTONE_BYTES];
    backend_put(b, SCHEMA_META, slice_cstr(SCHEMA_META_SCHEDULED_COMPACT), rev_slice(rev, bytes));
}

void schema_put_finished_compact(struct backend *b, int64_t rev)
{
    uint8_t bytes[BACKEND_TOMBSTONE_BYTES];
    backend_put(b, SCHEMA_META, slice_cstr(SCHEMA_META_FINISHED_COMPACT), rev_slice(rev, bytes));
}

void schema_put_cluster_version(struct backend *b, struct semver v)
{
    char text[SEMVER_TEXT_MAX];
    backend_put(b, SCHEMA_CLUSTER, slice_cstr(SCHEMA_CLUSTER_VERSION_KEY), semver_slice(v, text));
}

void schema_put_downgrade(struct backend *b, const struct schema_downgrade *d)
{
    struct buf json = BUF_INIT;
    schema_downgrade_encode(&json, d);
    backend_put(b, SCHEMA_CLUSTER, slice_cstr(SCHEMA_DOWNGRADE_KEY), buf_slice(&json));
    buf_deinit(&json);
}

/* ---- alarm, lease, auth ---- */

void schema_put_alarm(struct backend *b, struct schema_alarm a)
{
    struct buf key = BUF_INIT;
    schema_alarm_encode(&key, a);
    backend_put(b, SCHEMA_ALARM, buf_slice(&key), SLICE_NULL);
    buf_deinit(&key);
}

void schema_delete_alarm(struct backend *b, struct schema_alarm a)
{
    struct buf key = BUF_INIT;
    schema_alarm_encode(&key, a);
    backend_delete(b, SCHEMA_ALARM, buf_slice(&key));
    buf_deinit(&key);
}

void schema_put_lease(struct backend *b, const struct schema_lease *l)
{
    uint8_t key[8];
    struct buf value = BUF_INIT;
    schema_lease_encode(&value, l);
    backend_put(b, SCHEMA_LEASE, be64((uint64_t)l->id, key), buf_slice(&value));
    buf_deinit(&value);
}

void schema_delete_lease(struct backend *b, int64_t id)
{
    uint8_t key[8];
    backend_delete(b, SCHEMA_LEASE, be64((uint64_t)id, key));
}

void schema_put_auth_enabled(struct backend *b, bool enabled)
{
    const uint8_t value = enabled ? 1 : 0;
    backend_put(b, SCHEMA_AUTH, slice_cstr(SCHEMA_AUTH_ENABLED_KEY), slice_make(&value, 1));
}

void schema_put_auth_revision(struct backend *b, uint64_t rev)
{
    uint8_t value[8];
    backend_put(b, SCHEMA_AUTH, slice_cstr(SCHEMA_AUTH_REVISION_KEY), be64(rev, value));
}

void schema_put_user(struct backend *b, struct slice name, struct slice user)
{
    backend_put(b, SCHEMA_AUTH_USERS, name, user);
}

void schema_delete_user(struct backend *b, struct slice name)
{
    backend_delete(b, SCHEMA_AUTH_USERS, name);
}

void schema_put_role(struct backend *b, struct slice name, struct slice role)
{
    backend_put(b, SCHEMA_AUTH_ROLES, name, role);
}

void schema_delete_role(struct backend *b, struct slice name)
{
    backend_delete(b, SCHEMA_AUTH_ROLES, name);
}

/* ---- members ---- */

void schema_put_member(struct backend *b, uint64_t id, struct slice json)
{
    char key[SCHEMA_ID_KEY_MAX];
    size_t n = schema_id_key(id, key);
    backend_put(b, SCHEMA_MEMBERS, slice_make(key, n), json);
}

void schema_remove_member(struct backend *b, uint64_t id)
{
    char key[SCHEMA_ID_KEY_MAX];
    size_t n = schema_id_key(id, key);
    backend_delete(b, SCHEMA_MEMBERS, slice_make(key, n));
    backend_put(b, SCHEMA_MEMBERS_REMOVED, slice_make(key, n), SLICE_LIT("removed"));
}

void schema_forget_member(struct backend *b, uint64_t id)
{
    char key[SCHEMA_ID_KEY_MAX];
    size_t n = schema_id_key(id, key);
    backend_delete(b, SCHEMA_MEMBERS, slice_make(key, n));
    backend_delete(b, SCHEMA_MEMBERS_REMOVED, slice_make(key, n));
}

/* ---- tools ---- */

int schema_tx_buckets(struct bolt_tx *tx)
{
    int err = 0;
    for (int i = 0; err == 0 && i < SCHEMA_BUCKET_COUNT; i++) {
        struct bolt_bucket *b;
        err = bolt_bucket_create_if_missing(tx, NULL, slice_cstr(SCHEMA_BUCKET_NAMES[i]), &b);
    }
    return err;
}

static int tx_bucket(struct bolt_tx *tx, enum schema_bucket bucket, struct bolt_bucket **out)
{
    return bolt_bucket_create_if_missing(tx, NULL, slice_cstr(SCHEMA_BUCKET_NAMES[bucket]), out);
}

int schema_tx_put(struct bolt_tx *tx, enum schema_bucket bucket, struct slice key,
                  struct slice value)
{
    struct bolt_bucket *b;
    int err = tx_bucket(tx, bucket, &b);
    return err != 0 ? err : bolt_bucket_put(b, key, value);
}

int schema_tx_put_index(struct bolt_tx *tx, uint64_t index, uint64_t term)
{
    uint8_t bytes[8];
    ensure(index != 0);
    int err = schema_tx_put(tx, SCHEMA_META, slice_cstr(SCHEMA_META_CONSISTENT_INDEX),
                            be64(index, bytes));
    if (err == 0 && term > 0) {
        err = schema_tx_put(tx, SCHEMA_META, slice_cstr(SCHEMA_META_TERM), be64(term, bytes));
    }
    return err;
}

int schema_tx_put_member(struct bolt_tx *tx, uint64_t id, struct slice json)
{
    char key[SCHEMA_ID_KEY_MAX];
    size_t n = schema_id_key(id, key);
    return schema_tx_put(tx, SCHEMA_MEMBERS, slice_make(key, n), json);
}

static int tx_empty(struct bolt_tx *tx, enum schema_bucket bucket)
{
    struct slice name = slice_cstr(SCHEMA_BUCKET_NAMES[bucket]);
    struct bolt_bucket *b;
    int err = bolt_bucket_delete(tx, NULL, name);
    return err != 0 && err != ERR_NOT_FOUND ? err : bolt_bucket_create(tx, NULL, name, &b);
}

int schema_tx_trim_members(struct bolt_tx *tx)
{
    int err = tx_empty(tx, SCHEMA_MEMBERS);
    return err != 0 ? err : tx_empty(tx, SCHEMA_MEMBERS_REMOVED);
}

int schema_tx_put_scheduled_compact(struct bolt_tx *tx, int64_t rev)
{
    uint8_t bytes[BACKEND_TOMBSTONE_BYTES];
    return schema_tx_put(tx, SCHEMA_META, slice_cstr(SCHEMA_META_SCHEDULED_COMPACT),
                         rev_slice(rev, bytes));
}

int schema_tx_put_storage_version(struct bolt_tx *tx, struct semver v)
{
    char text[SEMVER_TEXT_MAX];
    struct slice key = slice_cstr(SCHEMA_META_STORAGE_VERSION);
    struct bolt_bucket *b;
    if (!semver_is_none(v)) {
        return schema_tx_put(tx, SCHEMA_META, key, semver_slice(v, text));
    }
    int err = tx_bucket(tx, SCHEMA_META, &b);
    return err != 0 ? err : bolt_bucket_delete_key(b, key);
}
