/* SPDX-License-Identifier: Apache-2.0
 *
 * os/failpoint_terms: the parsed form of one failpoint's terms; private to src/os.
 */
#ifndef OS_FAILPOINT_TERMS_H
#define OS_FAILPOINT_TERMS_H

#include "os/failpoint.h"

enum failpoint_action {
    FAILPOINT_ACT_OFF,
    FAILPOINT_ACT_RETURN,
    FAILPOINT_ACT_SLEEP,
    FAILPOINT_ACT_PANIC,
    FAILPOINT_ACT_PRINT,
};

/* A condition: so often, or with this chance. */
struct failpoint_mod {
    bool is_count;
    uint64_t left;
    double percent;
};

struct failpoint_term {
    struct failpoint_mod mods[FAILPOINT_MODS_MAX];
    size_t mod_count;
    enum failpoint_action action;
    uint64_t sleep_ns;
    struct slice value; /* in text, as written between the parentheses */
};

struct failpoint_terms {
    struct failpoint_term terms[FAILPOINT_TERMS_MAX];
    size_t count;
    uint64_t acted;
    struct slice text; /* behind the struct */
};

#endif
