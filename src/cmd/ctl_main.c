/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_main: cairnctl, also installed as etcdctl.
 */
#include "base/log.h"
#include "cmd/ctl.h"
#include "os/log_sink.h"
#include "os/os.h"

extern char **environ;

static void loop_run(void *arg)
{
    os_loop_run(arg);
}

static void loop_stop(void *arg)
{
    os_loop_stop(arg);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static int run(struct ctl *c, struct cli_ctx *cli)
{
    int rc = cli_cmd_of(cli)->run(cli);
    if (rc != 0) {
        buf_append_slice(&c->err, buf_slice(&c->fail.before));
        if (!c->is_quiet) {
            buf_append_cstr(&c->err, "Error: ");
            buf_append_slice(&c->err, buf_slice(&c->fail.text));
            buf_append_byte(&c->err, '\n');
        }
    }
    return rc;
}

static int main_with(struct env *env, int argc, char **argv)
{
    bool is_etcd = strncmp(base_name(argv[0]), "etcd", 4) == 0;
    const struct cli_app app = {
        .name = is_etcd ? "etcdctl" : "cairnctl",
        .root = is_etcd ? &ctl_root_etcd : &ctl_root,
        .groups = ctl_groups,
        .help_tail = "Use \"@ options\" for a list of global command-line options (applies to all "
                     "commands).",
        .env_prefix = "ETCDCTL",
        .is_root_flags_hidden = true,
    };
    struct cli_ctx cli;
    struct ctl c = {.cli = &cli,
                    .env = env,
                    .runner = {loop_run, loop_stop, env},
                    .environ_list = (const char *const *)environ,
                    .is_etcd_name = is_etcd};
    size_t count = argc > 0 ? (size_t)argc - 1 : 0;
    struct slice *args = mem_alloc_array(count + 1, sizeof(*args));
    int rc;
    for (size_t i = 0; i < count; i++) {
        args[i] = slice_cstr(argv[i + 1]);
    }
    cli_init(&cli, &app);
    client_error_init(&c.error);
    ctl_fail_init(&c.fail);
    c.printer.out = &c.out;
    c.printer.err = &c.err;
    cli.user = &c;
    if (cli_parse(&cli, args, count, &rc)) {
        rc = run(&c, &cli);
    } else {
        buf_append_slice(&c.out, buf_slice(&cli.out));
        buf_append_slice(&c.err, buf_slice(&cli.err));
    }
    ctl_flush(&c);
    ctl_tls_close(&c);
    ctl_fail_deinit(&c.fail);
    client_error_deinit(&c.error);
    buf_deinit(&c.out);
    buf_deinit(&c.err);
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
    os_log_sink_create(OS_LOG_JSON, &sink);
    if (os_log_sink_add(sink, "stderr") == 0) {
        os_log_sink_install(sink, LOG_INFO);
    }
    int rc = main_with(env, argc, argv);
    os_log_sink_destroy(sink);
    os_loop_run_for(env, 0); /* connections are given back by the loop */
    os_env_destroy(env);
    return rc;
}
