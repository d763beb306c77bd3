/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/cli_complete: completion scripts and the man page, both out of the command tables.
 */
#include "cmd/cli_impl.h"

#include "base/err.h"

/* ---- walking the tree
 * ----------------------------------------------------------------------------- */

struct place {
    const struct cli_app *app;
    const struct cli_cmd *path[CLI_DEPTH_MAX];
    size_t depth;
    struct buf *out;
};

typedef void (*place_fn)(struct place *p);

static const struct cli_cmd *place_cmd(const struct place *p)
{
    return p->path[p->depth - 1];
}

static void walk(struct place *p, place_fn fn)
{
    fn(p);
    const struct cli_cmd *sub = place_cmd(p)->subs;
    for (; sub != NULL && sub->use != NULL && p->depth < CLI_DEPTH_MAX; sub++) {
        if (!sub->is_hidden) {
            p->path[p->depth++] = sub;
            walk(p, fn);
            p->depth--;
        }
    }
}

static void place_name(const struct place *p)
{
    buf_append_cstr(p->out, p->app->name);
    for (size_t i = 1; i < p->depth; i++) {
        buf_printf(p->out, " %.*s", (int)cli_name_len(p->path[i]), p->path[i]->use);
    }
}

static void append_flag(void *arg, const struct cli_flag *f, bool is_inherited)
{
    (void)is_inherited;
    buf_printf(arg, " --%s", f->name);
}

/* Sub-commands and flags, blank separated. */
static void place_words(const struct place *p)
{
    const struct cli_cmd *sub = place_cmd(p)->subs;
    for (; sub != NULL && sub->use != NULL; sub++) {
        if (!sub->is_hidden) {
            buf_printf(p->out, " %.*s", (int)cli_name_len(sub), sub->use);
        }
    }
    cli_each_flag(p->path, p->depth, append_flag, p->out);
}

/* ---- scripts
 * -------------------------------------------------------------------------------------- */

static void shell_known(struct place *p)
{
    if (p->depth > 1) {
        buf_append_cstr(p->out, "            \"");
        place_name(p);
        buf_append_cstr(p->out, "\") path=\"$path $word\" ;;\n");
    }
}

static void shell_case(struct place *p)
{
    buf_append_cstr(p->out, "        \"");
    place_name(p);
    buf_append_cstr(p->out, "\") words=\"");
    place_words(p);
    buf_append_cstr(p->out, "\" ;;\n");
}

static void bash_script(struct place *p)
{
    const char *name = p->app->name;
    buf_printf(p->out,
               "_%s_complete()\n{\n    local path=\"%s\" word words=\"\" i\n"
               "    for ((i = 1; i < COMP_CWORD; i++)); do\n        word=\"${COMP_WORDS[i]}\"\n"
               "        case \"$path $word\" in\n",
               name, name);
    walk(p, shell_known);
    buf_append_cstr(p->out, "        esac\n    done\n    case \"$path\" in\n");
    walk(p, shell_case);
    buf_printf(p->out,
               "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))"
               "\n}\ncomplete -o default -F _%s_complete %s\n",
               name, name);
}

static void fish_line(struct place *p)
{
    buf_printf(p->out, "complete -c %s -n '__%s_at", p->app->name, p->app->name);
    for (size_t i = 1; i < p->depth; i++) {
        buf_printf(p->out, " %.*s", (int)cli_name_len(p->path[i]), p->path[i]->use);
    }
    buf_append_cstr(p->out, "' -a '");
    place_words(p);
    buf_append_cstr(p->out, "'\n");
}

static void fish_script(struct place *p)
{
    buf_printf(p->out,
               "function __%s_at\n    set -l words (commandline -opc)[2..]\n"
               "    set -l plain (string match -v -- '-*' $words)\n"
               "    test \"$plain\" = \"$argv\"\nend\n",
               p->app->name);
    walk(p, fish_line);
}

static void powershell_line(struct place *p)
{
    buf_append_cstr(p->out, "    '");
    place_name(p);
    buf_append_cstr(p->out, "' = '");
    place_words(p);
    buf_append_cstr(p->out, "'\n");
}

static void powershell_script(struct place *p)
{
    const char *name = p->app->name;
    buf_append_cstr(p->out, "$words = @{\n");
    walk(p, powershell_line);
    buf_printf(p->out,
               "}\nRegister-ArgumentCompleter -Native -CommandName '%s' -ScriptBlock {\n"
               "    param($wordToComplete, $commandAst, $cursorPosition)\n    $path = '%s'\n"
               "    foreach ($e in $commandAst.CommandElements | Select-Object -Skip 1) {\n"
               "        if ($words.ContainsKey(\"$path $e\")) { $path = \"$path $e\" }\n    }\n"
               "    $words[$path].Trim().Split(' ') | Where-Object { $_ -like \"$wordToComplete*\" "
               "}\n}\n",
               name, name);
}

bool cli_completion(const struct cli_app *app, struct slice shell, struct buf *out)
{
    struct place p = {.app = app, .path = {app->root}, .depth = 1, .out = out};
    if (slice_equal_cstr(shell, "bash")) {
        bash_script(&p);
    } else if (slice_equal_cstr(shell, "zsh")) {
        buf_printf(out, "#compdef %s\nautoload -U +X bashcompinit && bashcompinit\n", app->name);
        bash_script(&p);
    } else if (slice_equal_cstr(shell, "fish")) {
        fish_script(&p);
    } else if (slice_equal_cstr(shell, "powershell")) {
        powershell_script(&p);
    } else {
        return false;
    }
    return true;
}

/* ---- man page
 * ------------------------------------------------------------------------------------- */

/* Text with what roff would take for itself escaped. */
static void roff(const struct cli_app *app, struct buf *out, const char *text)
{
    struct buf said = BUF_INIT;
    cli_say(app, &said, text);
    bool is_line_start = true;
    for (size_t i = 0; i < said.len; i++) {
        char c = (char)said.data[i];
        if (is_line_start && (c == '.' || c == '\'')) {
            buf_append_cstr(out, "\\&");
        }
        if (c == '\\') {
            buf_append_cstr(out, "\\e");
        } else if (c == '-') {
            buf_append_cstr(out, "\\-");
        } else {
            buf_append_byte(out, (uint8_t)c);
        }
        is_line_start = c == '\n';
    }
    buf_deinit(&said);
}

static void man_flag(const struct cli_app *app, const struct cli_flag *f, struct buf *out)
{
    struct buf def = BUF_INIT;
    buf_append_cstr(out, ".TP\n");
    if (f->shorthand != 0) {
        buf_printf(out, "\\fB\\-%c\\fR, ", f->shorthand);
    }
    buf_append_cstr(out, "\\fB\\-\\-");
    roff(app, out, f->name);
    buf_printf(out, "\\fR \\fI%s\\fR\n", cli_type_word(f));
    roff(app, out, f->help);
    if (cli_default_text(f, &def)) {
        buf_append_cstr(out, " (default ");
        roff(app, out, buf_cstr(&def));
        buf_append_byte(out, ')');
    }
    buf_append_byte(out, '\n');
    buf_deinit(&def);
}

static void man_flags(const struct cli_app *app, const struct cli_flag *f, struct buf *out)
{
    for (; f != NULL && f->name != NULL; f++) {
        if (!f->is_hidden) {
            man_flag(app, f, out);
        }
    }
}

static void man_command(struct place *p)
{
    const struct cli_cmd *cmd = place_cmd(p);
    if (p->depth == 1 || (cmd->run == NULL && !cmd->is_help)) {
        return;
    }
    buf_append_cstr(p->out, ".SS ");
    for (size_t i = 1; i + 1 < p->depth; i++) {
        struct buf name = BUF_INIT;
        buf_append(&name, p->path[i]->use, cli_name_len(p->path[i]));
        roff(p->app, p->out, buf_cstr(&name));
        buf_append_byte(p->out, ' ');
        buf_deinit(&name);
    }
    roff(p->app, p->out, cmd->use);
    buf_append_cstr(p->out, "\n.nf\n");
    roff(p->app, p->out, cmd->detail != NULL ? cmd->detail : cmd->brief);
    buf_append_cstr(p->out, "\n.fi\n");
    man_flags(p->app, cmd->flags, p->out);
    for (size_t i = p->depth; i > 1; i--) {
        man_flags(p->app, p->path[i - 1]->persistent, p->out);
    }
}

void cli_man(const struct cli_app *app, const char *intro, struct buf *out)
{
    struct place p = {.app = app, .path = {app->root}, .depth = 1, .out = out};
    buf_printf(out, ".TH %s 1 \"\" Cairn\n.SH NAME\n%s \\- ", app->name, app->name);
    roff(app, out, app->root->brief);
    buf_printf(out, "\n.SH SYNOPSIS\n\\fB%s\\fR [\\fIglobal flags\\fR] \\fIcommand\\fR ",
               app->name);
    buf_append_cstr(out, "[\\fIflags\\fR] [\\fIarguments\\fR]\n.SH DESCRIPTION\n");
    cli_say(app, out, intro); /* already in roff */
    buf_append_cstr(out, "\n.SH COMMANDS\n");
    walk(&p, man_command);
    buf_append_cstr(out, ".SH GLOBAL FLAGS\n");
    man_flags(app, app->root->persistent, out);
}
