/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/utl_main: cairnutl, also installed as etcdutl.
 */
#include "base/log.h"
#include "cmd/ctl_rc.h"
#include "cmd/utl_cmds.h"
#include "os/log_sink.h"
#include "os/os.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void write_all(struct utl *u, int rc)
{
    struct buf *err = &u->cli->err;
    if (rc != 0 && u->fail.text.len > 0 && !u->is_quiet) {
        buf_append_cstr(err, "Error: ");
        buf_append_slice(err, buf_slice(&u->fail.text));
        buf_append_byte(err, '\n');
    }
    buf_append_slice(&u->cli->out, buf_slice(&u->out));
    /* Nobody is left to tell when these fail. */
    (void)!os_write(OS_STDERR, buf_slice(err));
    (void)!os_write(OS_STDOUT, buf_slice(&u->cli->out));
}

static int main_with(struct env *env, int argc, char **argv)
{
    bool is_etcd = strncmp(base_name(argv[0]), "etcd", 4) == 0;
    const struct cli_app app = {
        .name = is_etcd ? "etcdutl" : "cairnutl",
        .root = &utl_root,
        .is_help_usage_only = true,
        .is_error_repeated = true,
    };
    struct cli_ctx cli;
    struct utl u = {.cli = &cli, .env = env, .is_etcd_name = is_etcd};
    size_t count = argc > 0 ? (size_t)argc - 1 : 0;
    struct slice *args = mem_alloc_array(count + 1, sizeof(*args));
    int rc;
    for (size_t i = 0; i < count; i++) {
        args[i] = slice_cstr(argv[i + 1]);
    }
    cli_init(&cli, &app);
    ctl_fail_init(&u.fail);
    cli.user = &u;
    if (cli_parse(&cli, args, count, &rc)) {
        rc = cli_cmd_of(&cli)->run(&cli);
    }
    write_all(&u, rc);
    ctl_fail_deinit(&u.fail);
    buf_deinit(&u.out);
    cli_deinit(&cli);
    mem_free(args);
    return rc;
}

int main(int argc, char **argv)
{
    struct os_options opts = {.no_lanes = true};
    struct env *env;
    struct os_log_sink *sink;
    if (os_env_create(&opts, &env) != 0) {
        (void)!os_write(OS_STDERR, SLICE_LIT("Error: cannot start the event loop\n"));
        return CTL_RC_ERROR;
    }
    os_log_sink_create(OS_LOG_CONSOLE, &sink);
    if (os_log_sink_add(sink, "stderr") == 0) {
        os_log_sink_install(sink, LOG_INFO);
    }
    int rc = main_with(env, argc, argv);
    os_log_sink_destroy(sink);
    os_env_destroy(env);
    return rc;
}
