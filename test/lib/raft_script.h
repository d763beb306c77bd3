/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/raft_script: golden scripts: command, input lines, `----`, expected output, empty line.
 *
 *     # comment
 *     command arg key=value key=(v1,v2)
 *     input
 *     ----
 *     expected output
 *
 * The runner compares what the handler prints with what the file says, byte for byte.  With
 * REWRITE=1 in the environment a file of our own is rewritten instead.
 */
#ifndef TEST_LIB_RAFT_SCRIPT_H
#define TEST_LIB_RAFT_SCRIPT_H

#include "base/buf.h"

enum { SCRIPT_ARGS_MAX = 24, SCRIPT_VALUES_MAX = 24 };

struct script_arg {
    char *key;
    int value_count;
    char *values[SCRIPT_VALUES_MAX];
};

struct script_cmd {
    const char *name;
    int arg_count;
    struct script_arg args[SCRIPT_ARGS_MAX];
    const char *input; /* without the last newline */
};

typedef void (*script_handler)(void *arg, const struct script_cmd *cmd, struct buf *out);

/* Runs one file; returns the number of commands whose output differs (printed to stderr), or -1
 * when the file cannot be read. */
int script_run(const char *path, bool may_rewrite, script_handler handler, void *arg);

/* Value of key=..., or NULL. */
const char *script_value(const struct script_cmd *cmd, const char *key);

/* Names of the .txt files of a folder in order; -1 when it cannot be read.  Free with
 * script_files_free. */
int script_files(const char *dir, char ***out_names);
void script_files_free(char **names, int count);

#endif
