/* SPDX-License-Identifier: Apache-2.0
 *
 * server/flags: values of all flags from command line, environment or file, as etcd takes them.
 *
 * Design      One table (flags.def) says name, type, default, file key and support of each flag;
 *             the parser, the environment, the file, --help and the man page are made from it. A
 *             value is kept as text and, for numbers, as a number. Syntax is Go's `flag`, not
 *             GNU's.
 * Ownership   struct flags owns its texts. Thread any, at start.
 * Failure     ERR_INVALID with etcd's text appended to *error.
 * See         cli.md 1.1-1.5; test/unit/server/flags_test.c.
 */
#ifndef SERVER_FLAGS_H
#define SERVER_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum flag_type {
    FLAG_STRING,
    FLAG_CHOICE,
    FLAG_BOOL,
    FLAG_INT,
    FLAG_UINT,
    FLAG_UINT32,
    FLAG_DURATION,
    FLAG_URLS,
    FLAG_ORIGINS, /* URLs, or * */
    FLAG_STRINGS,
    FLAG_GATES,
};

enum flag_group {
    FLAG_GROUP_MEMBER,
    FLAG_GROUP_CLUSTERING,
    FLAG_GROUP_SECURITY,
    FLAG_GROUP_AUTH,
    FLAG_GROUP_PROFILING,
    FLAG_GROUP_LOGGING,
    FLAG_GROUP_BEHAVIOUR,
    FLAG_GROUP_COMMAND,
    FLAG_GROUP_COUNT,
};

enum flag_support { FLAG_WORKS, FLAG_IGNORED, FLAG_REFUSED };

enum flag_id {
#define FLAG(group, name, id, type, def, key, choices, support, help) FLAG_ID_##id,
#include "server/flags.def"
#undef FLAG
    FLAG_COUNT
};

enum flag_source { FLAG_BY_DEFAULT, FLAG_BY_ENV, FLAG_BY_COMMAND, FLAG_BY_FILE };

struct flag_value {
    char *text;
    int64_t number; /* BOOL 0/1; INT; UINT bits; DURATION in ns */
    enum flag_source source;
};

enum { FLAG_OLD_COUNT = 23 }; /* --experimental-* names (flags_old.c) */

struct flags {
    struct flag_value values[FLAG_COUNT];
    bool is_own[FLAG_COUNT];        /* given by its present name */
    bool has_old[FLAG_OLD_COUNT];   /* given by this old name */
    bool old_value[FLAG_OLD_COUNT]; /* of a gate */
};

struct flag_spec {
    enum flag_group group;
    const char *name;
    enum flag_type type;
    const char *def;
    const char *file_key; /* "" = none */
    const char *choices;  /* separated by | */
    enum flag_support support;
    const char *help;
};

const struct flag_spec *flag_spec(enum flag_id id);
/* Defaults. */
void flags_init(struct flags *f);
void flags_deinit(struct flags *f);

/* argv without the program.  ERR_INVALID: usage error, exit 2.  ERR_UNSUPPORTED: a word that is no
 * flag, exit 1 by way of the log.  ERR_END: --help or -h. */
MUST_USE int flags_parse(struct flags *f, char *const *argv, size_t count, struct buf *error);
/* One variable; ERR_NOT_FOUND: no flag of that name; ERR_EXISTS: its flag was given too. */
MUST_USE int flags_env(struct flags *f, const char *name, const char *value, struct buf *error);
/* A YAML or JSON file; everything else goes back to its default.  ERR_UNSUPPORTED: etcd says this
 * text as it is on stderr, not in the log. */
MUST_USE int flags_file(struct flags *f, struct slice content, struct buf *error);

/* Sets one value; on failure the reason ("parse error", "invalid value", ...) is appended. */
MUST_USE int flag_set(struct flags *f, enum flag_id id, const char *text, enum flag_source source,
                      struct buf *reason);
const char *flag_text(const struct flags *f, enum flag_id id);
bool flag_bool(const struct flags *f, enum flag_id id);
int64_t flag_int(const struct flags *f, enum flag_id id);
uint64_t flag_uint(const struct flags *f, enum flag_id id);
uint64_t flag_ms(const struct flags *f, enum flag_id id); /* DURATION */
bool flag_is_given(const struct flags *f, enum flag_id id);
bool flag_is_default(const struct flags *f, enum flag_id id);
/* ETCD_NAME of a flag. */
void flag_env_name(enum flag_id id, struct buf *out);

/* Old names, by number: of the flag's value, or of one feature gate. */
bool flag_old_find(const char *name, size_t len, size_t *out);
const char *flag_old_name(size_t old);
enum flag_id flag_old_id(size_t old);
bool flag_old_is_bool(size_t old);
MUST_USE int flag_old_set(struct flags *f, size_t old, const char *text, enum flag_source source,
                          struct buf *reason);
/* Old and present name given at once: 3.6's text. */
MUST_USE int flags_old_check(const struct flags *f, struct buf *error);
void flags_old_warn(const struct flags *f);

/* The synopsis (stderr) and the list of all flags (stdout). */
void flags_usage(struct buf *out);
void flags_help(struct buf *out);
/* cairn(1). */
void flags_man(struct buf *out);

/* Feature gates (cli.md 1.5): checks a list; 0 or ERR_INVALID with the reason. */
MUST_USE int gates_check(const char *list, struct buf *reason);
/* What a checked list says of one gate; where it does not, AllAlpha or AllBeta, then its default.
 */
bool gate_is_on(const char *list, const char *name);
struct gate_state {
    const char *name;
    const char *stage; /* "ALPHA", "BETA" */
    bool is_on;
};
/* The i-th gate, sorted; false at the end. */
bool gate_at(const char *list, size_t i, struct gate_state *out);
/* The gates that were set, sorted, as the start-up line shows them. */
void gates_text(const char *list, struct buf *out);

#endif
