/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/utl_main: cairnutl, also installed as etcdutl.
 */
#include "base/log.h"
#include "cmd/ctl_rc.h"
#include "cmd/utl_cmds.h"
#include "os/log_sink.h"
#include "os/os.h"

enum { FRACTION_AT = 19, FRACTION_END = 26 }; /* 2026-01-02T03:04:05.678901Z */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* etcdutl's console lines: the time without its fraction. */
static void on_line(void *arg, const struct log_line *line)
{
    struct env *env = arg;
    struct buf text = BUF_INIT;
    os_log_format_line(&text, OS_LOG_CONSOLE, line, env->clock->ops->wall_ns(env->clock));
    if (text.len > FRACTION_END && text.data[FRACTION_AT] == '.') {
        memmove(text.data + FRACTION_AT, text.data + FRACTION_END, text.len - FRACTION_END);
        text.len -= FRACTION_END - FRACTION_AT;
    }
    (void)!os_write(OS_STDERR, buf_slice(&text));
    buf_deinit(&text);
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
    if (os_env_create(&opts, &env) != 0) {
        (void)!os_write(OS_STDERR, SLICE_LIT("Error: cannot start the event loop\n"));
        return CTL_RC_ERROR;
    }
    log_sink_set(on_line, env);
    int rc = main_with(env, argc, argv);
    log_sink_set(NULL, NULL);
    os_env_destroy(env);
    return rc;
}
