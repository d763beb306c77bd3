/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/cli: command line parser driven by tables; behaves as etcd's tools do (cli.md 2.1, 2.2, 3.1).
 *
 * Problem     Scripts written for etcdctl must run verbatim: abbreviated command names, flags mixed
 *             with arguments, exact error texts, exit codes and places of output.
 * Design      A tree of struct cli_cmd (constant tables) describes commands and flags.  cli_parse
 *             finds the command, parses the flags and either says "run it" or has written help or
 *             an error.  --help, `options`, completion scripts and man pages come from the same
 *             tables.  In help texts '@' stands for the name of the program.
 * Ownership   Arguments and values are slices into what the caller passed; everything else lives
 *             in the ctx until cli_deinit.
 * Thread      any, one at a time.
 * Failure     Nothing here exits or prints: text goes to ctx->out and ctx->err.
 * See         test/unit/cmd/cli_test.c; cli.md 2.1.
 */
#ifndef CMD_CLI_H
#define CMD_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

enum { CLI_DEPTH_MAX = 4, CLI_FLAGS_MAX = 64, CLI_STRINGS_MAX = 1024 };

enum cli_type {
    CLI_BOOL,
    CLI_STRING,
    CLI_INT,   /* 64 bit */
    CLI_INT64, /* the same; etcd keeps them apart, so do we */
    CLI_UINT64,
    CLI_DURATION,
    CLI_STRINGS, /* CSV; repeated flags append */
};

struct cli_flag {
    const char *name;
    char shorthand; /* 0 = none */
    enum cli_type type;
    const char *def; /* as text; NULL = zero value */
    const char *help;
    bool is_required;
    bool is_hidden;
    const char *choices; /* for completion, blank separated; NULL = none */
};

struct cli_ctx;

enum cli_args {
    CLI_ARGS_ANY,
    CLI_ARGS_ONE,   /* exactly one */
    CLI_ARGS_SHELL, /* exactly one of bash, zsh, fish, powershell */
};

struct cli_cmd {
    const char *use; /* "get [options] <key> [range_end]"; the first word is the name */
    const char *brief;
    const char *detail;                /* NULL = brief */
    const char *example;               /* NULL = none */
    const char *group;                 /* id of a struct cli_group, or NULL */
    const struct cli_flag *flags;      /* own flags; ends with a NULL name */
    const struct cli_flag *persistent; /* own and handed down */
    const struct cli_cmd *subs;        /* ends with a NULL use */
    int (*run)(struct cli_ctx *ctx);   /* NULL: the command only groups others */
    enum cli_args args;
    bool is_hidden;        /* works, but help does not show it */
    bool is_without_flags; /* no "[flags]" in the usage line */
    bool is_help;          /* `help [command]`, handled here */
    bool is_silenced;      /* usage errors print no "Error:" line */
};

struct cli_group {
    const char *id;
    const char *title;
};

struct cli_app {
    const char *name; /* as help and errors show it: etcdctl, cairnctl, ... */
    const struct cli_cmd *root;
    const struct cli_group *groups; /* ends with a NULL id; NULL = none */
    const char *help_tail;          /* line behind every help text, or NULL */
    const char *env_prefix;         /* "ETCDCTL", or NULL */
    bool is_help_usage_only;        /* etcdutl: help is the usage alone */
    bool is_error_repeated;         /* etcdutl: the error line comes again behind the usage */
    bool is_root_flags_hidden;      /* etcdctl: root flags are shown by `options` only */
};

struct cli_value {
    const struct cli_flag *flag;
    bool is_changed;
    bool is_bool;
    int64_t number; /* INT, INT64, UINT64 (bits), DURATION in ns */
    struct slice text;
    struct slice *list;
    size_t list_count;
};

struct cli_ctx {
    const struct cli_app *app;
    const struct cli_cmd *path[CLI_DEPTH_MAX]; /* root first */
    size_t depth;
    struct slice *args;
    size_t arg_count;
    size_t dash_at; /* how many arguments came before `--`; SIZE_MAX: there was none */
    struct cli_value values[CLI_FLAGS_MAX]; /* all flags the command knows */
    size_t value_count;
    struct arena arena;
    struct buf out; /* standard output and error of the parser */
    struct buf err;
    void *user; /* of the caller, for run() */
};

void cli_init(struct cli_ctx *ctx, const struct cli_app *app);
void cli_deinit(struct cli_ctx *ctx);

/* args without the program name.  True: run cli_cmd_of(ctx)->run(ctx).  False: ctx->out and
 * ctx->err hold what to print and *out_rc the exit status. */
bool cli_parse(struct cli_ctx *ctx, const struct slice *args, size_t count, int *out_rc);

static inline const struct cli_cmd *cli_cmd_of(const struct cli_ctx *ctx)
{
    return ctx->path[ctx->depth - 1];
}

/* The flag must be one of the command's. */
const struct cli_value *cli_value(const struct cli_ctx *ctx, const char *name);
bool cli_bool(const struct cli_ctx *ctx, const char *name);
int64_t cli_number(const struct cli_ctx *ctx, const char *name);
struct slice cli_text(const struct cli_ctx *ctx, const char *name);
bool cli_is_changed(const struct cli_ctx *ctx, const char *name);

/* Sets one value from text; 0 or ERR_INVALID with Go's reason appended to reason. */
MUST_USE int cli_value_set(struct cli_ctx *ctx, struct cli_value *v, struct slice text,
                           struct buf *reason);
/* The value as Go prints it with %v. */
void cli_value_show(const struct cli_value *v, struct buf *out);

/* Environment variables PREFIX_FLAG_NAME for the flags that the command inherits (cli.md 2.2).
 * environ: NULL-terminated "NAME=value" list; ignore: names that are no flags but known, NULL
 * terminated.  Returns the name of a variable whose flag is also given (fatal), or NULL; unknown
 * and empty ones are reported one by one. */
const char *cli_env_apply(struct cli_ctx *ctx, const char *const *environ_list,
                          const char *const *ignore,
                          void (*on_unknown)(void *arg, const char *entry), void *arg);
/* "PREFIX_NAME=value" lines of the inherited flags, sorted (--debug). */
void cli_env_dump(const struct cli_ctx *ctx, struct buf *out);

/* Help of the parsed command; usage part alone; the table of flags. */
void cli_help(const struct cli_ctx *ctx, struct buf *out);
void cli_usage(const struct cli_ctx *ctx, struct buf *out);
void cli_root_flags(const struct cli_app *app, struct buf *out);
/* One page in man's format (section 1) for the whole tool. */
void cli_man(const struct cli_app *app, const char *intro, struct buf *out);
/* Script for bash, zsh, fish or powershell; false for any other name. */
bool cli_completion(const struct cli_app *app, struct slice shell, struct buf *out);

/* Length of the command's name in use. */
size_t cli_name_len(const struct cli_cmd *cmd);
/* text with '@' replaced by the program's name. */
void cli_say(const struct cli_app *app, struct buf *out, const char *text);

#endif
