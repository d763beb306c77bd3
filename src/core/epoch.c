/* SPDX-License-Identifier: Apache-2.0 */
#include "core/epoch.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/driver_internal.h"

PRINTF_LIKE(3, 4) static int refuse(char *text, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, DRIVER_TEXT_BYTES, fmt, ap);
    va_end(ap);
    return err;
}

void epoch_init(struct epoch *e)
{
    *e = (struct epoch){.has_schema = false};
    list_node_init(&e->node);
    membership_init(&e->members);
}

static void on_event(void *arg, const struct mvcc_event *event)
{
    const struct driver *d = arg;
    watch_hub_event(d->watch.hub, event);
}

/* Of the epoch in use only: batches of no other are taken. */
static void on_batch(void *arg, struct backend_batch *batch, uint64_t index, uint64_t term)
{
    struct driver *d = arg;
    if (index > 0) {
        schema_batch_put_index(batch, index, term);
    }
    const struct raft_conf_state *conf = core_conf(d->core);
    struct buf json = BUF_INIT;
    schema_conf_state_encode(&json, conf);
    if (conf->voters.count > 0 && !slice_equal(buf_slice(&json), buf_slice(&d->conf_written))) {
        schema_batch_put_conf_state(batch, conf);
        buf_clear(&d->conf_written);
        buf_append_slice(&d->conf_written, buf_slice(&json));
    }
    buf_deinit(&json);
}

static int open_backend(struct epoch *e, struct driver *d, char *text)
{
    char *path = env_path_join(d->snap_dir, "db");
    char error[BOLT_ERROR_TEXT_BYTES] = "";
    struct backend_options o = {
        .disk = d->env->disk,
        .path = path,
        .bucket_names = SCHEMA_BUCKET_NAMES,
        .bucket_count = SCHEMA_BUCKET_COUNT,
        .page_cache_bytes = d->config.page_cache_bytes,
        .batch_interval_ms = d->config.batch_interval_ms,
        .batch_ops = d->config.batch_ops,
        .no_sync = d->config.no_sync,
        .on_batch = on_batch,
        .on_batch_arg = d,
        .error_text = error,
        .error_text_size = sizeof(error),
    };
    int err = backend_open(&o, &e->backend);
    if (err == ERR_LOCKED) {
        err = refuse(text, err,
                     "the data directory %s is in use: another process holds %s; stop it first",
                     d->config.data_dir, path);
    } else if (err != 0) {
        err = refuse(text, err,
                     "cannot open the database %s: %s: %s; keep the file, and restore this "
                     "member from a snapshot or add it anew",
                     path, err_text(err), error);
    }
    mem_free(path);
    return err;
}

static int load_schema(struct epoch *e, char *text)
{
    struct backend_view *v = backend_view_pin(e->backend);
    int err = schema_boot_load(backend_view_tx(v), &e->schema);
    e->has_schema = true;
    backend_view_unpin(v);
    if (err != 0) {
        return refuse(text, err, "the database has a damaged bucket %s: %s", e->schema.what,
                      err_text(err));
    }
    err = membership_load(&e->members, &e->schema);
    return err == 0 ? 0 : refuse(text, err, "the database has a damaged members bucket");
}

int epoch_open(struct epoch *e, struct driver *d, char *text)
{
    int err = open_backend(e, d, text);
    return err == 0 ? load_schema(e, text) : err;
}

static int load_leases(struct epoch *e)
{
    struct buf row = BUF_INIT;
    int err = 0;
    for (size_t i = 0; err == 0 && i < e->schema.lease_count; i++) {
        uint8_t key[SCHEMA_LEASE_KEY_BYTES];
        store_be64(key, (uint64_t)e->schema.leases[i].id);
        buf_clear(&row);
        schema_lease_encode(&row, &e->schema.leases[i]);
        err = lessor_load(e->lessor, slice_make(key, sizeof(key)), buf_slice(&row));
    }
    buf_deinit(&row);
    return err;
}

static int load_auth(struct epoch *e, struct driver *d, char *text)
{
    const char *bucket = "";
    struct backend_view *v = backend_view_pin(e->backend);
    e->auth = auth_store_create(e->backend, d->config.tokens);
    int err = auth_store_load(e->auth, backend_view_tx(v), &bucket);
    backend_view_unpin(v);
    return err == 0 ? 0
                    : refuse(text, err, "the database has a damaged bucket %s: %s", bucket,
                             err_text(err));
}

int epoch_load(struct epoch *e, struct driver *d, uint64_t seed, char *text)
{
    struct lessor_options lo = {
        .backend = e->backend,
        .bucket_lease = SCHEMA_LEASE,
        .min_ttl_s = ((int64_t)d->config.election_ms * 3 / 2 + 999) / 1000,
        .hash_seed = seed,
        .is_checkpointing = d->config.lease_checkpoints,
    };
    e->lessor = lessor_create(&lo);
    int err = load_leases(e);
    struct mvcc_options mo = {
        .backend = e->backend,
        .lessor = e->lessor,
        .bucket_meta = SCHEMA_META,
        .rules = level_rules(d->level),
        .on_event = on_event,
        .on_event_arg = d,
    };
    e->store = mvcc_create(&mo);
    if (err == 0) {
        struct backend_view *v = backend_view_pin(e->backend);
        err = mvcc_restore_tx(e->store, backend_view_tx(v));
        backend_view_unpin(v);
    }
    return err == 0 ? load_auth(e, d, text)
                    : refuse(text, err, "the database has a damaged record: %s", err_text(err));
}

void epoch_schema_drop(struct epoch *e)
{
    if (e->has_schema) {
        schema_boot_deinit(&e->schema);
        e->has_schema = false;
    }
}

bool epoch_is_read(const struct epoch *e)
{
    /* The backend itself holds one view. */
    return mvcc_is_pinned(e->store) || backend_open_views(e->backend) > 1;
}

void epoch_close(struct epoch *e)
{
    epoch_schema_drop(e);
    if (e->store != NULL) {
        mvcc_destroy(e->store);
    }
    if (e->auth != NULL) {
        auth_store_destroy(e->auth);
    }
    if (e->lessor != NULL) {
        lessor_destroy(e->lessor);
    }
    if (e->backend != NULL) {
        backend_close(e->backend);
    }
    membership_deinit(&e->members);
    epoch_init(e);
}
