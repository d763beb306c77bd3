/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/raft_script.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
    char *text;
    char *next;
    int line;
};

static char *read_line(struct reader *r)
{
    char *line = r->next;
    if (line == NULL || *line == '\0') {
        return NULL;
    }
    char *end = strchr(line, '\n');
    if (end != NULL) {
        *end = '\0';
        r->next = end + 1;
    } else {
        r->next = NULL;
    }
    r->line++;
    return line;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return NULL;
    }
    struct buf b = BUF_INIT;
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
        buf_append(&b, chunk, n);
    }
    fclose(f);
    buf_append_byte(&b, 0);
    return (char *)b.data;
}

static char *skip_blanks(char *s)
{
    return s + strspn(s, " ,");
}

/* (v1, v2 v3) behind key=; returns what follows. */
static char *parse_list(char *s, struct script_arg *a)
{
    s = skip_blanks(s + 1);
    while (*s != ')' && *s != '\0') {
        ensure(a->value_count < SCRIPT_VALUES_MAX);
        a->values[a->value_count++] = s;
        s += strcspn(s, " ,)");
        bool at_end = *s == ')';
        if (*s != '\0') {
            *s++ = '\0';
        }
        if (at_end) {
            return s;
        }
        s = skip_blanks(s);
    }
    return *s == ')' ? s + 1 : s;
}

static void parse_args(struct script_cmd *cmd, char *s)
{
    cmd->name = s;
    s += strcspn(s, " ");
    while (*s != '\0') {
        *s++ = '\0';
        s += strspn(s, " ");
        if (*s == '\0') {
            return;
        }
        ensure(cmd->arg_count < SCRIPT_ARGS_MAX);
        struct script_arg *a = &cmd->args[cmd->arg_count++];
        a->key = s;
        s += strcspn(s, " =");
        if (*s != '=') {
            continue;
        }
        *s++ = '\0';
        if (*s == '(') {
            s = parse_list(s, a);
        } else {
            a->values[a->value_count++] = s;
            s += strcspn(s, " ");
        }
    }
}

static void read_until(struct reader *r, struct buf *raw, struct buf *out, const char *end)
{
    for (char *l = read_line(r); l != NULL; l = read_line(r)) {
        if (raw != NULL) {
            buf_printf(raw, "%s\n", l);
        }
        if (strcmp(l, end) == 0) {
            return;
        }
        buf_printf(out, "%s\n", l);
    }
}

static bool same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* One command, its line already read; 1 when its output differs. */
static int run_command(struct reader *r, const char *path, char *line, struct buf *rewritten,
                       script_handler handler, void *arg)
{
    struct script_cmd cmd = {0};
    struct buf input = BUF_INIT;
    struct buf expected = BUF_INIT;
    struct buf actual = BUF_INIT;
    int at = r->line;
    parse_args(&cmd, line);
    read_until(r, rewritten, &input, "----");
    input.len -= input.len > 0 ? 1 : 0;
    cmd.input = buf_cstr(&input);
    read_until(r, NULL, &expected, "");
    handler(arg, &cmd, &actual);
    if (actual.len > 0 && actual.data[actual.len - 1] != '\n') {
        buf_append_byte(&actual, '\n');
    }
    buf_append_slice(rewritten, buf_slice(&actual));
    buf_append_byte(rewritten, '\n');
    int differs = same(&expected, &actual) ? 0 : 1;
    if (differs != 0) {
        fprintf(stderr, "%s:%d: %s\n--- expected\n%s--- actual\n%s---\n", path, at, cmd.name,
                buf_cstr(&expected), buf_cstr(&actual));
    }
    buf_deinit(&input);
    buf_deinit(&expected);
    buf_deinit(&actual);
    return differs;
}

static void write_file(const char *path, struct buf *b)
{
    FILE *f = fopen(path, "wb");
    ensure(f != NULL);
    if (b->len > 1 && b->data[b->len - 1] == '\n' && b->data[b->len - 2] == '\n') {
        b->len--; /* one newline at the end is enough */
    }
    fwrite(b->data, 1, b->len, f);
    fclose(f);
}

int script_run(const char *path, bool may_rewrite, script_handler handler, void *arg)
{
    struct reader r = {.text = read_file(path)};
    struct buf rewritten = BUF_INIT;
    int failures = 0;
    if (r.text == NULL) {
        return -1;
    }
    r.next = r.text;
    for (char *l = read_line(&r); l != NULL; l = read_line(&r)) {
        buf_printf(&rewritten, "%s\n", l);
        if (*l != '\0' && *l != '#') {
            failures += run_command(&r, path, l, &rewritten, handler, arg);
        }
    }
    if (may_rewrite && failures > 0 && getenv("REWRITE") != NULL) {
        write_file(path, &rewritten);
        failures = 0;
    }
    buf_deinit(&rewritten);
    free(r.text);
    return failures;
}

const char *script_value(const struct script_cmd *cmd, const char *key)
{
    for (int i = 0; i < cmd->arg_count; i++) {
        if (cmd->args[i].value_count > 0 && strcmp(cmd->args[i].key, key) == 0) {
            return cmd->args[i].values[0];
        }
    }
    return NULL;
}

static int is_script(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 4 && strcmp(e->d_name + n - 4, ".txt") == 0;
}

int script_files(const char *dir, char ***out_names)
{
    struct dirent **list;
    int n = scandir(dir, &list, is_script, alphasort);
    if (n < 0) {
        return -1;
    }
    char **names = mem_alloc_array((size_t)n + 1, sizeof(*names));
    for (int i = 0; i < n; i++) {
        struct buf b = BUF_INIT;
        buf_printf(&b, "%s/%s", dir, list[i]->d_name);
        buf_append_byte(&b, 0);
        names[i] = (char *)b.data;
        free(list[i]);
    }
    free(list);
    *out_names = names;
    return n;
}

void script_files_free(char **names, int count)
{
    for (int i = 0; i < count; i++) {
        mem_free(names[i]);
    }
    mem_free(names);
}
