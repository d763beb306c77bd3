/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/server_values.h"

#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "member/strs.h"
#include "os/os.h"

enum { CONFIG_FILE_BYTES_MAX = 1 << 20, RC_GO_ON = -1, RC_ERROR = 1, RC_PANIC = 2 };

const char *server_config_file(const struct flags *f)
{
    const char *file = flag_text(f, FLAG_ID_CONFIG_FILE);
    if (file[0] == 0) {
        file = os_getenv("ETCD_CONFIG_FILE");
    }
    return file == NULL || file[0] == 0 ? NULL : file;
}

/* ---- environment ---- */

struct walk {
    struct flags *flags;
    struct strs names;
    struct buf *error;
    bool is_conflict;
};

static void log_conflict(const char *name)
{
    log_at_(LOG_FATAL, NULL,
            "conflicting environment variable is shadowed by corresponding command-line flag "
            "(either unset environment variable or disable flag))",
            LOG_STR("environment-variable", name));
}

static void log_unknown(const char *name, const char *value)
{
    struct buf entry = BUF_INIT;
    buf_printf(&entry, "%s=%s", name, value);
    log_warn("unrecognized environment variable",
             LOG_STR("environment-variable", buf_cstr(&entry)));
    buf_deinit(&entry);
}

static int on_variable(void *arg, const char *name, const char *value)
{
    struct walk *w = arg;
    (void)value;
    if (strncmp(name, "ETCD_", 5) == 0) {
        strs_add(&w->names, slice_cstr(name));
    }
    return 0;
}

/* etcd takes the values first, sorted by flag, and looks for conflicts then; the last bad value is
 * the one it tells. */
static void take_variable(struct walk *w, const char *name)
{
    struct buf error = BUF_INIT;
    const char *value = os_getenv(name);
    if (value == NULL) {
        return;
    }
    int err = flags_env(w->flags, name, value, &error);
    if (err == 0) {
        log_info("recognized and used environment variable", LOG_STR("variable-name", name),
                 LOG_STR("variable-value", value));
    } else if (err == ERR_INVALID) {
        buf_clear(w->error);
        buf_append_slice(w->error, buf_slice(&error));
    }
    buf_deinit(&error);
}

static int on_rest(void *arg, const char *name, const char *value)
{
    struct walk *w = arg;
    struct buf error = BUF_INIT;
    int err = flags_env(w->flags, name, value, &error);
    buf_deinit(&error);
    if (err == ERR_EXISTS) {
        log_conflict(name);
        w->is_conflict = true;
        return 1;
    }
    if (err == ERR_NOT_FOUND && strncmp(name, "ETCD_", 5) == 0) {
        log_unknown(name, value);
    }
    return 0;
}

int server_take_environment(struct flags *f, struct buf *error)
{
    struct walk w = {.flags = f, .error = error};
    const char *version = os_getenv("ETCD_VERSION");
    if (version != NULL && version[0] != 0) {
        log_warn("cannot set special environment variable", LOG_STR("key", "ETCD_VERSION"),
                 LOG_STR("value", version));
        os_unsetenv("ETCD_VERSION");
    }
    (void)os_getenv_each(on_variable, &w);
    strs_sort(&w.names);
    for (size_t i = 0; i < w.names.count; i++) {
        take_variable(&w, w.names.items[i]);
    }
    strs_deinit(&w.names);
    (void)os_getenv_each(on_rest, &w);
    if (w.is_conflict) {
        buf_clear(error);
        return RC_ERROR;
    }
    return error->len > 0 ? RC_ERROR : RC_GO_ON;
}

/* ---- file ---- */

int server_take_file(struct flags *f, struct env_disk *disk, const char *path, struct buf *error)
{
    struct buf content = BUF_INIT;
    int rc = RC_ERROR;
    int err = env_read_file(disk, path, CONFIG_FILE_BYTES_MAX, &content);
    if (err != 0) {
        buf_printf(error, "open %s: %s", path,
                   err == ERR_TOO_LARGE ? "larger than 1 MiB" : os_last_text_go());
    } else if ((err = flags_file(f, buf_slice(&content), error)) == ERR_UNSUPPORTED) {
        bool is_panic = strncmp(buf_cstr(error), "panic: ", 7) == 0;
        buf_append_byte(error, '\n');
        (void)!os_write(OS_STDERR, buf_slice(error));
        buf_clear(error);
        rc = is_panic ? RC_PANIC : RC_ERROR;
    } else if (err == 0) {
        rc = RC_GO_ON;
    }
    buf_deinit(&content);
    return rc;
}
