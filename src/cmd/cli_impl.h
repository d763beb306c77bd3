/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/cli_impl: what the files of the parser share.
 */
#ifndef CMD_CLI_IMPL_H
#define CMD_CLI_IMPL_H

#include "cmd/cli.h"

/* The flag that every command has. */
extern const struct cli_flag cli_flag_help;

/* Called for every flag a command at path[0..depth) knows: its own, persistent ones of the whole
 * path, help. inherited tells those that come from an ancestor. */
typedef void (*cli_flag_fn)(void *arg, const struct cli_flag *f, bool is_inherited);
void cli_each_flag(const struct cli_cmd *const *path, size_t depth, cli_flag_fn fn, void *arg);

const struct cli_flag *cli_flag_find(const struct cli_cmd *const *path, size_t depth,
                                     struct slice name);
const struct cli_flag *cli_flag_find_short(const struct cli_cmd *const *path, size_t depth,
                                           char shorthand);

/* Fills ctx->values with the defaults of all flags of ctx->path. */
void cli_values_init(struct cli_ctx *ctx);
/* Parses flags and arguments; 0, or ERR_INVALID with the text in reason. */
MUST_USE int cli_values_parse(struct cli_ctx *ctx, const struct slice *args, size_t count,
                              struct buf *reason);

/* The sub-command that name stands for (exact, or the only one it is a prefix of), or NULL. */
const struct cli_cmd *cli_sub_find(const struct cli_cmd *cmd, struct slice name);
/* Finds the command that args name; rest receives args without the names (count entries at most).
 * 0, or ERR_NOT_FOUND with the text in reason. */
MUST_USE int cli_find(struct cli_ctx *ctx, const struct slice *args, size_t count,
                      struct slice *rest, size_t *rest_count, struct buf *reason);
/* "etcdctl member add" */
void cli_path_text(const struct cli_ctx *ctx, size_t depth, struct buf *out);
/* True when name, of f's own type, means "alone it is a value" (booleans). */
bool cli_flag_is_alone(const struct cli_flag *f);
const char *cli_type_word(const struct cli_flag *f);
/* f's default when it is not the zero value, as help shows it; false: nothing to show. */
bool cli_default_text(const struct cli_flag *f, struct buf *out);

/* Flag table of help: `all` flags of the list, sorted by name. */
void cli_flag_table(const struct cli_flag *const *flags, size_t count, const struct cli_app *app,
                    struct buf *out);
size_t cli_flags_sort(const struct cli_flag **flags, size_t count);

#endif
