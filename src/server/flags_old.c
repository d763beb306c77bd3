/* SPDX-License-Identifier: Apache-2.0
 *
 * server/flags_old: the --experimental-* names of 3.5.  3.6 takes them with a warning, 3.7 refuses
 * them; a member that is migrated from 3.5 keeps its unit file, so they are taken here at every
 * level, with 3.6's warnings (cli.md 1.4).
 */
#include <string.h>

#include "base/err.h"
#include "base/gotext.h"
#include "base/log.h"
#include "server/flags.h"

static const struct old {
    const char *name;
    enum flag_id id;     /* of the present name */
    const char *gate;    /* id is FEATURE_GATES: which of them */
    const char *warning; /* NULL: 3.6 says nothing */
} olds[FLAG_OLD_COUNT] = {
#define RENAMED(text, ID)                                                                          \
    {                                                                                              \
        "experimental-" text, FLAG_ID_##ID, NULL,                                                  \
            "--experimental-" text                                                                 \
            " is deprecated in v3.6 and will be decommissioned in v3.7. Use '--" text "' instead." \
    }
#define GATE(text, name, warning)                                                                  \
    {                                                                                              \
        "experimental-" text, FLAG_ID_FEATURE_GATES, name, warning                                 \
    }
    RENAMED("bootstrap-defrag-threshold-megabytes", BOOTSTRAP_DEFRAG_THRESHOLD_MEGABYTES),
    RENAMED("compact-hash-check-time", COMPACT_HASH_CHECK_TIME),
    RENAMED("compaction-batch-limit", COMPACTION_BATCH_LIMIT),
    RENAMED("compaction-sleep-interval", COMPACTION_SLEEP_INTERVAL),
    RENAMED("corrupt-check-time", CORRUPT_CHECK_TIME),
    RENAMED("distributed-tracing-address", DISTRIBUTED_TRACING_ADDRESS),
    RENAMED("distributed-tracing-instance-id", DISTRIBUTED_TRACING_INSTANCE_ID),
    RENAMED("distributed-tracing-sampling-rate", DISTRIBUTED_TRACING_SAMPLING_RATE),
    RENAMED("distributed-tracing-service-name", DISTRIBUTED_TRACING_SERVICE_NAME),
    RENAMED("downgrade-check-time", DOWNGRADE_CHECK_TIME),
    RENAMED("enable-distributed-tracing", ENABLE_DISTRIBUTED_TRACING),
    RENAMED("memory-mlock", MEMORY_MLOCK),
    RENAMED("peer-skip-client-san-verification", PEER_SKIP_CLIENT_SAN_VERIFICATION),
    RENAMED("snapshot-catchup-entries", SNAPSHOT_CATCHUP_ENTRIES),
    RENAMED("warning-apply-duration", WARNING_APPLY_DURATION),
    RENAMED("warning-unary-request-duration", WARNING_UNARY_REQUEST_DURATION),
    RENAMED("watch-progress-notify-interval", WATCH_PROGRESS_NOTIFY_INTERVAL),
    GATE(
        "compact-hash-check-enabled", "CompactHashCheck",
        "--experimental-compact-hash-check-enabled is deprecated in 3.6 and will be decommissioned "
        "in 3.7. Use '--feature-gates=CompactHashCheck=true' instead."),
    GATE("enable-lease-checkpoint", "LeaseCheckpoint", NULL),
    GATE("enable-lease-checkpoint-persist", "LeaseCheckpointPersist", NULL),
    GATE("initial-corrupt-check", "InitialCorruptCheck", NULL),
    GATE("stop-grpc-service-on-defrag", "StopGRPCServiceOnDefrag", NULL),
    GATE("txn-mode-write-with-shared-buffer", "TxnModeWriteWithSharedBuffer",
         "--experimental-txn-mode-write-with-shared-buffer is deprecated in v3.6 and will be "
         "decommissioned in v3.7. Use '--feature-gates=TxnModeWriteWithSharedBuffer=true' "
         "instead."),
#undef RENAMED
#undef GATE
};

bool flag_old_find(const char *name, size_t len, size_t *out)
{
    for (size_t i = 0; i < FLAG_OLD_COUNT; i++) {
        if (strlen(olds[i].name) == len && memcmp(olds[i].name, name, len) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

const char *flag_old_name(size_t old)
{
    return olds[old].name;
}

enum flag_id flag_old_id(size_t old)
{
    return olds[old].id;
}

bool flag_old_is_bool(size_t old)
{
    return olds[old].gate != NULL || flag_spec(olds[old].id)->type == FLAG_BOOL;
}

int flag_old_set(struct flags *f, size_t old, const char *text, enum flag_source source,
                 struct buf *reason)
{
    const struct old *o = &olds[old];
    struct buf gate = BUF_INIT;
    bool value = false;
    int err = 0;
    if (o->gate != NULL) {
        err = gotext_parse_bool(slice_cstr(text), &value);
        buf_printf(&gate, "%s=%s", o->gate, value ? "true" : "false");
    }
    if (err != 0) {
        buf_append_cstr(reason, "parse error");
        err = ERR_INVALID;
    } else {
        err = flag_set(f, o->id, o->gate != NULL ? buf_cstr(&gate) : text, source, reason);
    }
    if (err == 0) {
        f->has_old[old] = true;
        f->old_value[old] = value;
    }
    buf_deinit(&gate);
    return err;
}

/* How often a list names the gate, and whether one of the items has this value. */
static size_t count_gate(const char *list, const char *gate, bool value, bool *out_has)
{
    size_t count = 0;
    size_t len = strlen(gate);
    *out_has = false;
    for (const char *p = list; (p = strstr(p, gate)) != NULL; p += len) {
        bool item = false;
        if ((p != list && p[-1] != ',' && p[-1] != ' ') || p[len] != '=') {
            continue;
        }
        struct slice text = slice_cstr(p + len + 1);
        text.len = strcspn(p + len + 1, ", ");
        count++;
        *out_has = *out_has || (gotext_parse_bool(text, &item) == 0 && item == value);
    }
    return count;
}

static const char *bool_text(bool value)
{
    return value ? "true" : "false";
}

/* The gate was also named in --feature-gates itself. */
static bool is_gate_twice(const struct flags *f, size_t old, struct buf *error)
{
    const struct old *o = &olds[old];
    bool value = f->old_value[old], has_other;
    if (count_gate(flag_text(f, o->id), o->gate, !value, &has_other) < 2) {
        return false;
    }
    const char *own = bool_text(has_other ? !value : value);
    buf_printf(error,
               "cannot specify both flags: --%s=%s and --feature-gates=%s=%s at the same time, "
               "please just use --feature-gates=%s=%s",
               o->name, bool_text(value), o->gate, own, o->gate, own);
    return true;
}

int flags_old_check(const struct flags *f, struct buf *error)
{
    for (size_t i = 0; i < FLAG_OLD_COUNT; i++) {
        const struct old *o = &olds[i];
        if (!f->has_old[i]) {
            continue;
        }
        if (o->gate != NULL && is_gate_twice(f, i, error)) {
            return ERR_INVALID;
        }
        if (o->gate == NULL && f->is_own[o->id]) {
            buf_printf(error, "cannot set --%s and --%s at the same time, please use --%s only",
                       o->name, flag_spec(o->id)->name, flag_spec(o->id)->name);
            return ERR_INVALID;
        }
    }
    return 0;
}

void flags_old_warn(const struct flags *f)
{
    for (size_t i = 0; i < FLAG_OLD_COUNT; i++) {
        if (f->has_old[i] && olds[i].warning != NULL) {
            log_warn(olds[i].warning);
        }
    }
}
