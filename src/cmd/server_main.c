/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/server_main: cairn, also installed as etcd: flags, environment, file, log, start, signals.
 *
 * Exit status (cli.md 1.7): 0 help and version; 1 configuration, start and fatal errors; 2 syntax;
 * after an orderly stop the program dies by the signal that asked for it.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/version.h"
#include "cmd/server_values.h"
#include "os/log_sink.h"
#include "os/os.h"
#include "server/config.h"
#include "server/failpoint.h"
#include "server/join.h"
#include "server/tls.h"

enum { RC_GO_ON = -1, RC_ERROR = 1, RC_USAGE = 2, RC_PANIC = 2, FD_LIMIT_MIN = 150 };

struct program {
    struct env *env;
    struct server *server;
    struct failpoint_server *failpoints;
    struct os_log_sink *sink;
    struct flags flags;
    struct config config;
    struct server_tls tls;
    struct buf error; /* for "failed to verify flags" */
    char *config_file;
    int signo;
    int rc;
};

static void say(enum os_stream s, struct buf *b)
{
    (void)!os_write(s, buf_slice(b));
    buf_clear(b);
}

/* ---- before the log ---- */

static int usage_error(struct buf *error)
{
    buf_append_byte(error, '\n');
    flags_usage(error);
    say(OS_STDERR, error);
    return RC_USAGE;
}

static int show_help(void)
{
    struct buf out = BUF_INIT;
    flags_usage(&out);
    say(OS_STDERR, &out);
    flags_help(&out);
    say(OS_STDOUT, &out);
    buf_deinit(&out);
    return 0;
}

static int show_version(void)
{
    struct buf out = BUF_INIT;
    buf_append_cstr(&out, "etcd Version: " VERSION_ETCD "\nGit SHA: " VERSION_GIT_SHA
                          "\nGo Version: " VERSION_GO "\nGo OS/Arch: linux/" VERSION_ARCH
                          "\nCairn Version: " VERSION_CAIRN "\n");
    say(OS_STDOUT, &out);
    buf_deinit(&out);
    return 0;
}

static int parse_command(struct program *p, int argc, char **argv)
{
    int err = flags_parse(&p->flags, argv + 1, argc > 0 ? (size_t)argc - 1 : 0, &p->error);
    if (err == ERR_END) {
        return show_help();
    }
    if (err == ERR_UNSUPPORTED) {
        return RC_GO_ON; /* told by way of the log, from p->error */
    }
    if (err != 0) {
        return usage_error(&p->error);
    }
    return flag_bool(&p->flags, FLAG_ID_VERSION) ? show_version() : RC_GO_ON;
}

/* ---- log ---- */

static void renew_sink(struct program *p, enum os_log_format format)
{
    if (p->sink != NULL) {
        os_log_sink_destroy(p->sink);
    }
    os_log_sink_create(format, &p->sink);
}

/* JSON on stderr, whatever the flags say. */
static void open_plain_log(struct program *p)
{
    renew_sink(p, OS_LOG_JSON);
    (void)!os_log_sink_add(p->sink, "default");
    os_log_sink_install(p->sink, LOG_INFO);
}

static int add_outputs(struct program *p)
{
    const char *o = flag_text(&p->flags, FLAG_ID_LOG_OUTPUTS);
    int err = 0;
    for (bool is_last = false; err == 0 && !is_last;) {
        const char *end = strchr(o, ',');
        size_t len = end == NULL ? strlen(o) : (size_t)(end - o);
        char *one = mem_strndup(o, len);
        err = os_log_sink_add(p->sink, one);
        if (err != 0) {
            buf_printf(&p->error, "open sink \"%s\": open %s: %s", one, one,
                       err == ERR_LIMIT ? "too many outputs" : os_last_text_go());
        }
        mem_free(one);
        is_last = end == NULL;
        o += len + 1;
    }
    return err == 0 ? RC_GO_ON : RC_ERROR;
}

static int open_log(struct program *p)
{
    const struct flags *f = &p->flags;
    enum log_level level = LOG_INFO;
    if (config_check_log(f, &p->error) != 0) {
        return RC_ERROR;
    }
    if (os_log_level_parse(flag_text(f, FLAG_ID_LOG_LEVEL), &level) != 0) {
        struct buf text = BUF_INIT;
        buf_printf(&text, "panic: unrecognized level: \"%s\"\n", flag_text(f, FLAG_ID_LOG_LEVEL));
        say(OS_STDERR, &text);
        buf_deinit(&text);
        return RC_PANIC;
    }
    bool is_console = strcmp(flag_text(f, FLAG_ID_LOG_FORMAT), "console") == 0;
    renew_sink(p, is_console ? OS_LOG_CONSOLE : OS_LOG_JSON);
    int rc = add_outputs(p);
    if (rc != RC_GO_ON) {
        open_plain_log(p);
        return rc;
    }
    os_log_sink_install(p->sink, level);
    return rc;
}

/* ---- values ---- */

static void raise_timeout(const struct flags *f, enum flag_id id)
{
    enum { FLOOR_MS = 5000 };
    if (flag_int(f, id) < (int64_t)FLOOR_MS * 1000000) {
        struct buf msg = BUF_INIT;
        buf_printf(&msg, "%s increased to minimum value: 5s", flag_spec(id)->name);
        log_info(buf_cstr(&msg));
        buf_deinit(&msg);
    }
}

/* Flags, environment or file, and the checks of step 1. */
static int take_values(struct program *p, bool *out_is_missing_urls)
{
    const char *file = server_config_file(&p->flags);
    int rc;
    if (file != NULL) {
        p->config_file = mem_strdup(file);
        rc = server_take_file(&p->flags, p->env->disk, p->config_file, &p->error);
    } else {
        rc = server_take_environment(&p->flags, &p->error);
        if (rc == RC_GO_ON) {
            raise_timeout(&p->flags, FLAG_ID_RAFT_READ_TIMEOUT);
            raise_timeout(&p->flags, FLAG_ID_RAFT_WRITE_TIMEOUT);
        }
    }
    if (rc == RC_GO_ON) {
        rc = open_log(p);
    }
    if (rc == RC_GO_ON) {
        int err = config_check(&p->flags, &p->error);
        *out_is_missing_urls = err == ERR_NOT_FOUND;
        rc = err == 0 ? RC_GO_ON : RC_ERROR;
    }
    if (p->config_file != NULL && rc != RC_GO_ON) {
        open_plain_log(p); /* etcd forgets what a bad file says of the log */
    } else if (p->config_file != NULL) {
        log_info("loaded server configuration, other configuration command line flags and "
                 "environment variables will be ignored if provided",
                 LOG_STR("path", p->config_file));
    }
    if (rc == RC_GO_ON) {
        config_warn_deprecated(&p->flags);
    }
    return rc;
}

/* The first line, and why a start ends here. */
static int report_values(struct program *p, int rc, int argc, char **argv, bool is_missing_urls)
{
    if (rc != RC_GO_ON && p->error.len == 0) {
        return rc; /* a panic or fatal line has said it */
    }
    log_info("Running: ", LOG_STRS("args", argv, (size_t)argc));
    if (rc == RC_GO_ON && p->error.len == 0) {
        return rc;
    }
    log_warn("failed to verify flags", LOG_STR("error", buf_cstr(&p->error)));
    if (is_missing_urls) {
        log_warn("advertise client URLs are not set", LOG_STR("error", buf_cstr(&p->error)));
    }
    return RC_ERROR;
}

/* ---- the data directory ---- */

struct names {
    const struct program *program;
    bool has_member;
    bool has_proxy;
};

static int on_name(void *arg, const char *name)
{
    struct names *n = arg;
    if (strcmp(name, "member") == 0) {
        n->has_member = true;
    } else if (strcmp(name, "proxy") == 0) {
        n->has_proxy = true;
    } else {
        log_warn("found invalid file under data directory", LOG_STR("filename", name),
                 LOG_STR("data-dir", n->program->config.data_dir));
    }
    return 0;
}

static int list_failed(const char *dir, int err)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s %s: %s", err == ERR_NOT_DIR ? "readdirent" : "open", dir,
               os_last_text_go());
    log_at_(LOG_FATAL, NULL, "failed to list data directory", LOG_STR("dir", dir),
            LOG_STR("error", buf_cstr(&text)));
    buf_deinit(&text);
    return RC_ERROR;
}

static int identify_dir(struct program *p)
{
    struct names n = {.program = p};
    const char *dir = p->config.data_dir;
    int err = p->env->disk->ops->list(p->env->disk, dir, on_name, &n);
    if (err != 0 && err != ERR_NOT_FOUND) {
        return list_failed(dir, err);
    }
    if (n.has_member && n.has_proxy) {
        log_at_(LOG_FATAL, NULL, "invalid datadir; both member and proxy directories exist");
        return RC_ERROR;
    }
    if (!n.has_member && !n.has_proxy) {
        log_info("Initialize and start etcd server", LOG_STR("data-dir", dir),
                 LOG_STR("dir-type", "empty"));
        return RC_GO_ON;
    }
    log_info("server has already been initialized", LOG_STR("data-dir", dir),
             LOG_STR("dir-type", n.has_proxy ? "proxy" : "member"));
    if (n.has_proxy) {
        log_at_(LOG_PANIC, NULL, "v2 http proxy has already been deprecated in 3.6",
                LOG_STR("dir-type", "proxy"));
        return RC_PANIC;
    }
    return RC_GO_ON;
}

static void warn_mode(const struct program *p)
{
    static const char flags[] = "rwxrwxrwx";
    struct env_stat st;
    char mode[] = "d---------";
    if (p->env->disk->ops->stat(p->env->disk, p->config.data_dir, &st) != 0 || !st.is_dir ||
        (st.mode & 0777) == 0700) {
        return;
    }
    for (int i = 0; i < 9; i++) {
        if ((st.mode & (0400u >> i)) != 0) {
            mode[i + 1] = flags[i];
        }
    }
    struct buf text = BUF_INIT;
    buf_printf(&text,
               "directory \"%s\" exist, but the permission is \"%s\". The recommended permission "
               "is \"-rwx------\" to prevent possible unprivileged access to the data",
               p->config.data_dir, mode);
    log_warn("check file permission", LOG_STR("error", buf_cstr(&text)));
    buf_deinit(&text);
}

/* A WAL is there: the member has been started before. */
static bool is_member_initialized(const struct program *p)
{
    const char *wal_dir = flag_text(&p->flags, FLAG_ID_WAL_DIR);
    char *member = env_path_join(p->config.data_dir, "member");
    char *wal = wal_dir[0] != 0 ? mem_strdup(wal_dir) : env_path_join(member, "wal");
    bool is_there = env_exists(p->env->disk, wal);
    mem_free(wal);
    mem_free(member);
    return is_there;
}

/* ---- running ---- */

static void on_end(void *arg, int rc)
{
    struct program *p = arg;
    p->rc = rc;
    os_loop_stop(p->env);
}

static void on_signal(void *arg, int signo)
{
    struct program *p = arg;
    if (p->signo != 0) {
        return; /* a second one changes nothing */
    }
    p->signo = signo;
    log_info("received signal; shutting down",
             LOG_STR("signal", signo == SIGINT ? "interrupt" : "terminated"));
    config_log_closing(&p->config, "closing etcd server");
    server_stop(p->server);
}

static void on_hangup(void *arg, int signo)
{
    struct program *p = arg;
    (void)signo;
    if (p->signo == 0) {
        log_info("received signal; reloading TLS files", LOG_STR("signal", "hangup"));
        server_reload(p->server);
    }
}

/* Before this a signal kills at once: there is nothing to end in order. */
static void on_ready(void *arg)
{
    struct program *p = arg;
    if (os_signal_watch(p->env, SIGTERM, on_signal, p) != 0 ||
        os_signal_watch(p->env, SIGINT, on_signal, p) != 0) {
        log_warn("signals cannot be watched: a stop will be like a crash");
    }
    if (server_tls_is_used(&p->tls) && os_signal_watch(p->env, SIGHUP, on_hangup, p) != 0) {
        log_warn("SIGHUP cannot be watched: TLS files are reloaded by time only");
    }
}

static int start_failed(struct program *p, const char *text)
{
    config_log_closing(&p->config, "closing etcd server");
    config_log_closing(&p->config, "closed etcd server");
    log_at_(LOG_FATAL, NULL, "discovery failed", LOG_STR("error", text));
    return RC_ERROR;
}

/* A first start with others: who they are, and whether they have begun without us. */
static int join_others(struct program *p, struct join_result *out)
{
    struct driver_config *dc = &p->config.server.driver;
    if (!p->config.server.is_existing && strchr(dc->initial_cluster, ',') == NULL) {
        return 0;
    }
    int err = server_join(p->env, &p->config, out, &p->error);
    if (err == 0 && p->config.server.is_existing) {
        dc->is_join = true;
        dc->existing = &out->remotes;
        dc->existing_cluster_id = out->cluster_id;
        dc->new_level = out->level;
    }
    return err;
}

static int run_server(struct program *p, bool is_initialized)
{
    char text[DRIVER_TEXT_BYTES] = "";
    struct join_result join = {0};
    if (!is_initialized && join_others(p, &join) != 0) {
        log_error("bootstrap failed", LOG_STR("error", buf_cstr(&p->error)));
        return start_failed(p, buf_cstr(&p->error));
    }
    p->config.server.on_ready = on_ready;
    p->config.server.tls = server_tls_is_used(&p->tls) ? &p->tls : NULL;
    int err = server_create(p->env, &p->config.server, on_end, p, &p->server, text);
    join_result_deinit(&join);
    if (err != 0) {
        log_error("bootstrap failed", LOG_STR("error", text));
        return start_failed(p, text);
    }
    config_log_serving(&p->config, server_member_id(p->server));
    os_loop_run(p->env);
    server_destroy(p->server);
    config_log_closing(&p->config, "closed etcd server");
    return p->rc;
}

static int open_tls(struct program *p,
                    enum server_tls_end (*open)(struct server_tls *t, struct env *env,
                                                struct config *c, struct buf *error))
{
    switch (open(&p->tls, p->env, &p->config, &p->error)) {
    case SERVER_TLS_OK: break;
    case SERVER_TLS_BOOTSTRAP_FAILED:
        log_error("bootstrap failed", LOG_STR("error", buf_cstr(&p->error)));
        return start_failed(p, buf_cstr(&p->error));
    case SERVER_TLS_DISCOVERY_FAILED: return start_failed(p, buf_cstr(&p->error));
    case SERVER_TLS_LISTENER_FAILED:
        log_at_(LOG_FATAL, NULL, "listener failed", LOG_STR("error", buf_cstr(&p->error)));
        return RC_ERROR;
    case SERVER_TLS_LOGGED: return RC_ERROR;
    }
    return RC_GO_ON;
}

static int bind_and_run(struct program *p)
{
    char text[DRIVER_TEXT_BYTES] = "";
    bool is_initialized = is_member_initialized(p);
    config_log_listeners(&p->config);
    int rc = open_tls(p, server_tls_open_peer);
    if (rc == RC_GO_ON) {
        rc = open_tls(p, server_tls_open_client);
    }
    if (rc != RC_GO_ON) {
        return rc;
    }
    if (config_check_listeners(&p->config, &p->error) != 0) {
        return start_failed(p, buf_cstr(&p->error));
    }
    if (server_probe_listen(p->env, &p->config.server, text) != 0) {
        return start_failed(p, text);
    }
    os_loop_run_for(p->env, 1); /* the probing sockets close in the loop */
    uint64_t fds = os_fd_limit_raise();
    if (fds <= FD_LIMIT_MIN) {
        log_at_(LOG_FATAL, NULL,
                "file descriptor limit of etcd process is too low; please set higher",
                LOG_U64("limit", fds), LOG_U64("recommended-limit", FD_LIMIT_MIN));
        return RC_ERROR;
    }
    if (config_check_cluster(&p->config, is_initialized, &p->error) != 0) {
        return start_failed(p, buf_cstr(&p->error));
    }
    config_log_starting(&p->config, is_initialized);
    if (flag_bool(&p->flags, FLAG_ID_MEMORY_MLOCK) && os_mlockall() != 0) {
        return start_failed(p, os_last_text_go());
    }
    return run_server(p, is_initialized);
}

static int start(struct program *p)
{
    char host[OS_HOST_NAME_MAX] = "";
    int err = os_default_host(host, sizeof(host));
    if (err != 0) {
        host[0] = 0;
    }
    if (config_make(&p->flags, host, &p->config, &p->error) != 0) {
        log_warn("failed to verify flags", LOG_STR("error", buf_cstr(&p->error)));
        return RC_ERROR;
    }
    if (config_uses_host(&p->config)) {
        log_info("detected default host for advertise", LOG_STR("host", host));
    }
    if (err != 0) {
        log_info("failed to detect default host", LOG_STR("error", "could not find default route"));
    }
    if (flag_text(&p->flags, FLAG_ID_DATA_DIR)[0] == 0) {
        log_warn("'data-dir' was empty; using default", LOG_STR("data-dir", p->config.data_dir));
    }
    int rc = identify_dir(p);
    if (rc == RC_GO_ON) {
        warn_mode(p);
        rc = bind_and_run(p);
    }
    config_deinit(&p->config);
    return rc;
}

static void renew_env(struct program *p)
{
    struct os_options oo = {.no_sync = flag_bool(&p->flags, FLAG_ID_UNSAFE_NO_FSYNC)};
    if (p->env != NULL) {
        os_env_destroy(p->env);
    }
    if (os_env_create(&oo, &p->env) != 0) {
        p->env = NULL;
    }
}

static int run(struct program *p, int argc, char **argv)
{
    bool is_missing_urls = false;
    int rc = parse_command(p, argc, argv);
    if (rc != RC_GO_ON) {
        return rc;
    }
    open_plain_log(p);
    renew_env(p);
    if (p->env != NULL && p->error.len == 0) {
        rc = take_values(p, &is_missing_urls);
    }
    rc = report_values(p, rc, argc, argv, is_missing_urls);
    if (rc == RC_GO_ON && p->env != NULL) {
        renew_env(p); /* again: a file or a variable may say --unsafe-no-fsync */
    }
    if (p->env == NULL) {
        log_at_(LOG_FATAL, NULL, "discovery failed", LOG_STR("error", os_last_text_go()));
        return RC_ERROR;
    }
    if (rc == RC_GO_ON && failpoint_open(p->env, &p->failpoints, &p->error) != 0) {
        log_at_(LOG_FATAL, NULL, "failpoints cannot be used",
                LOG_STR("error", buf_cstr(&p->error)));
        return RC_ERROR;
    }
    return rc == RC_GO_ON ? start(p) : rc;
}

int main(int argc, char **argv)
{
    struct program p = {.error = BUF_INIT};
    /* One heap for all threads: what the lanes allocate the main loop frees, and an arena a thread
     * keeps that for itself (measured: 8 of 43 MB under load). */
    (void)mallopt(M_ARENA_MAX, 1);
    flags_init(&p.flags);
    int rc = run(&p, argc, argv);
    failpoint_close(p.failpoints);
    if (p.env != NULL) {
        os_env_destroy(p.env);
    }
    if (p.sink != NULL) {
        os_log_sink_destroy(p.sink);
    }
    server_tls_close(&p.tls);
    mem_free(p.config_file);
    buf_deinit(&p.error);
    flags_deinit(&p.flags);
    if (p.signo != 0 && rc == 0 && os_pid() != 1) {
        os_die_by_signal(p.signo);
    }
    return rc;
}
