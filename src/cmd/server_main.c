/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/server_main: cairn, also installed as etcd: flags, environment, file, log, start, signals.
 *
 * Exit status (cli.md 1.7): 0 help and version; 1 configuration, start and fatal errors; 2 syntax;
 * after an orderly stop the program dies by the signal that asked for it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/version.h"
#include "os/log_sink.h"
#include "os/os.h"
#include "server/config.h"

enum { RC_ERROR = 1, RC_USAGE = 2, CONFIG_FILE_BYTES_MAX = 1 << 20, FD_LIMIT_MIN = 150 };

struct program {
    struct env *env;
    struct server *server;
    struct os_log_sink *sink;
    struct flags flags;
    struct config config;
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

/* -1: go on. */
static int parse_command(struct program *p, int argc, char **argv)
{
    struct buf error = BUF_INIT;
    int rc = -1;
    int err = flags_parse(&p->flags, argv + 1, argc > 0 ? (size_t)argc - 1 : 0, &error);
    if (err == ERR_END) {
        rc = show_help();
    } else if (err == ERR_UNSUPPORTED) {
        buf_append_byte(&error, '\n');
        say(OS_STDERR, &error);
        rc = RC_ERROR;
    } else if (err != 0) {
        rc = usage_error(&error);
    } else if (flag_bool(&p->flags, FLAG_ID_VERSION)) {
        rc = show_version();
    }
    buf_deinit(&error);
    return rc;
}

static int open_log(struct program *p, bool is_early)
{
    const struct flags *f = &p->flags;
    bool is_console = !is_early && strcmp(flag_text(f, FLAG_ID_LOG_FORMAT), "console") == 0;
    enum log_level level = LOG_INFO;
    if (!is_early && os_log_level_parse(flag_text(f, FLAG_ID_LOG_LEVEL), &level) != 0) {
        struct buf text = BUF_INIT;
        buf_printf(&text, "panic: unrecognized level: \"%s\"\n", flag_text(f, FLAG_ID_LOG_LEVEL));
        say(OS_STDERR, &text);
        buf_deinit(&text);
        return RC_USAGE;
    }
    if (p->sink != NULL) {
        os_log_sink_destroy(p->sink);
    }
    os_log_sink_create(is_console ? OS_LOG_CONSOLE : OS_LOG_JSON, &p->sink);
    int err = 0;
    const char *outputs = is_early ? "default" : flag_text(f, FLAG_ID_LOG_OUTPUTS);
    for (const char *o = outputs; err == 0 && *o != 0;) {
        const char *end = strchr(o, ',');
        size_t len = end == NULL ? strlen(o) : (size_t)(end - o);
        char *one = mem_strndup(o, len);
        err = os_log_sink_add(p->sink, one);
        mem_free(one);
        o += len + (end != NULL);
    }
    os_log_sink_install(p->sink, level);
    return err == 0 ? -1 : RC_ERROR;
}

static int verify_failed(struct buf *error)
{
    log_warn("failed to verify flags", LOG_STR("error", buf_cstr(error)));
    return RC_ERROR;
}

/* ---- environment and file ---- */

struct env_walk {
    struct program *program;
    struct buf error;
    int rc;
};

static int on_variable(void *arg, const char *name, const char *value)
{
    struct env_walk *w = arg;
    if (strncmp(name, "ETCD_", 5) != 0 || strcmp(name, "ETCD_UNSUPPORTED_ARCH") == 0 ||
        strcmp(name, "ETCD_CONFIG_FILE") == 0 || strcmp(name, "ETCD_VERIFY") == 0) {
        return 0;
    }
    if (strcmp(name, "ETCD_VERSION") == 0) {
        log_warn("cannot set special environment variable", LOG_STR("key", name),
                 LOG_STR("value", value));
        return 0;
    }
    int err = flags_env(&w->program->flags, name, value, &w->error);
    if (err == 0) {
        log_info("recognized and used environment variable", LOG_STR("variable-name", name),
                 LOG_STR("variable-value", value));
    } else if (err == ERR_NOT_FOUND) {
        struct buf entry = BUF_INIT;
        buf_printf(&entry, "%s=%s", name, value);
        log_warn("unrecognized environment variable",
                 LOG_STR("environment-variable", buf_cstr(&entry)));
        buf_deinit(&entry);
    } else if (err == ERR_EXISTS) {
        log_at_(LOG_FATAL, NULL,
                "conflicting environment variable is shadowed by corresponding command-line flag "
                "(either unset environment variable or disable flag))",
                LOG_STR("environment-variable", name));
        w->rc = RC_ERROR;
    } else {
        w->rc = verify_failed(&w->error);
    }
    return w->rc < 0 ? 0 : 1;
}

static int take_environment(struct program *p)
{
    struct env_walk w = {.program = p, .error = BUF_INIT, .rc = -1};
    (void)os_getenv_each(on_variable, &w);
    buf_deinit(&w.error);
    return w.rc;
}

static int take_file(struct program *p, const char *path)
{
    struct buf content = BUF_INIT, error = BUF_INIT;
    int rc = -1;
    struct env_disk *disk = p->env->disk;
    if (env_read_file(disk, path, CONFIG_FILE_BYTES_MAX, &content) != 0) {
        buf_printf(&error, "open %s: %s", path, os_last_text_go());
        rc = verify_failed(&error);
    } else if (flags_file(&p->flags, buf_slice(&content), &error) != 0) {
        rc = verify_failed(&error);
    } else {
        log_info("loaded server configuration, other configuration command line flags and "
                 "environment variables will be ignored if provided",
                 LOG_STR("path", path));
    }
    buf_deinit(&content);
    buf_deinit(&error);
    return rc;
}

static int take_values(struct program *p)
{
    const char *file = flag_text(&p->flags, FLAG_ID_CONFIG_FILE);
    if (file[0] == 0 && os_getenv("ETCD_CONFIG_FILE") != NULL) {
        file = os_getenv("ETCD_CONFIG_FILE");
    }
    if (file[0] != 0) {
        char *path = mem_strdup(file);
        int rc = take_file(p, path);
        mem_free(path);
        return rc;
    }
    return take_environment(p);
}

/* ---- running ---- */

static void on_end(void *arg, int rc)
{
    struct program *p = arg;
    p->rc = rc;
    os_loop_stop(p->env);
}

static void log_closing(const struct program *p, const char *msg)
{
    const struct flags *f = &p->flags;
    log_info(msg, LOG_STR("name", flag_text(f, FLAG_ID_NAME)),
             LOG_STR("data-dir", p->config.data_dir),
             LOG_STR("advertise-peer-urls", flag_text(f, FLAG_ID_INITIAL_ADVERTISE_PEER_URLS)),
             LOG_STR("advertise-client-urls", flag_text(f, FLAG_ID_ADVERTISE_CLIENT_URLS)));
}

static void on_signal(void *arg, int signo)
{
    struct program *p = arg;
    p->signo = signo;
    log_info("received signal; shutting down",
             LOG_STR("signal", signo == SIGINT ? "interrupt" : "terminated"));
    log_closing(p, "closing etcd server");
    server_stop(p->server);
}

static int start_failed(const char *text)
{
    log_at_(LOG_FATAL, NULL, "discovery failed", LOG_STR("error", text));
    return RC_ERROR;
}

/* Names in the data directory that are not ours (cli.md 1.6). */
static int on_name(void *arg, const char *name)
{
    const struct program *p = arg;
    if (strcmp(name, "member") != 0 && strcmp(name, ".touch") != 0 &&
        strcmp(name, "fixtures") != 0) {
        log_warn("found invalid file under data directory", LOG_STR("filename", name),
                 LOG_STR("data-dir", p->config.data_dir));
    }
    return 0;
}

static int run_server(struct program *p)
{
    char text[DRIVER_TEXT_BYTES] = "";
    if (server_probe_listen(p->env, &p->config.server, text) != 0) {
        return start_failed(text);
    }
    os_loop_run_for(p->env, 1); /* the probing sockets close in the loop */
    int err = server_create(p->env, &p->config.server, on_end, p, &p->server, text);
    if (err != 0) {
        return start_failed(text);
    }
    if (os_signal_watch(p->env, SIGTERM, on_signal, p) != 0 ||
        os_signal_watch(p->env, SIGINT, on_signal, p) != 0) {
        log_warn("signals cannot be watched: a stop will be like a crash");
    }
    os_loop_run(p->env);
    server_destroy(p->server);
    if (p->rc == 0) {
        log_closing(p, "closed etcd server");
    }
    return p->rc;
}

static int start(struct program *p, int argc, char **argv)
{
    struct buf error = BUF_INIT;
    int rc = -1;
    if (config_check(&p->flags, &error) != 0 || config_make(&p->flags, &p->config, &error) != 0) {
        rc = verify_failed(&error);
        buf_deinit(&error);
        return rc;
    }
    buf_deinit(&error);
    char *member = env_path_join(p->config.data_dir, "member");
    bool is_initialized = env_exists(p->env->disk, member);
    mem_free(member);
    config_log_start(&p->config, argv, (size_t)argc, is_initialized);
    (void)p->env->disk->ops->list(p->env->disk, p->config.data_dir, on_name, p);
    if (os_fd_limit_raise() <= FD_LIMIT_MIN) {
        log_at_(LOG_FATAL, NULL,
                "file descriptor limit of etcd process is too low; please set higher");
        rc = RC_ERROR;
    } else if (flag_bool(&p->flags, FLAG_ID_MEMORY_MLOCK) && os_mlockall() != 0) {
        rc = start_failed(os_last_text_go());
    } else {
        rc = run_server(p);
    }
    config_deinit(&p->config);
    return rc;
}

int main(int argc, char **argv)
{
    struct program p = {0};
    flags_init(&p.flags);
    int rc = parse_command(&p, argc, argv);
    if (rc < 0) {
        rc = open_log(&p, true);
    }
    struct os_options oo = {.no_sync = flag_bool(&p.flags, FLAG_ID_UNSAFE_NO_FSYNC)};
    if (rc < 0 && os_env_create(&oo, &p.env) != 0) {
        rc = start_failed(os_last_text_go());
    }
    if (rc < 0) {
        rc = take_values(&p);
    }
    if (rc < 0) {
        rc = open_log(&p, false);
    }
    if (rc < 0) {
        rc = start(&p, argc, argv);
    }
    if (p.env != NULL) {
        os_env_destroy(p.env);
    }
    if (p.sink != NULL) {
        os_log_sink_destroy(p.sink);
    }
    flags_deinit(&p.flags);
    if (p.signo != 0 && rc == 0 && os_pid() != 1) {
        os_die_by_signal(p.signo);
    }
    return rc;
}
