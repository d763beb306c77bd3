/* SPDX-License-Identifier: Apache-2.0
 *
 * crash/member_model: what a workload has asked a member for, and which states may be found later.
 *
 * Requests take effect in the order in which they were begun (one log), so what a crash leaves must
 * be the state after the first k of them, with acknowledged <= k <= begun.
 */
#ifndef CRASH_MEMBER_MODEL_H
#define CRASH_MEMBER_MODEL_H

#include "member_fixture.h"

enum { MODEL_STEPS_MAX = 4096, MODEL_KEYS_MAX = 512, MODEL_KEY_BYTES = 32 };

enum model_kind { MODEL_PUT, MODEL_DELETE, MODEL_COMPACT };

struct model_step {
    enum model_kind kind;
    char key[MODEL_KEY_BYTES];
    uint32_t value_seed; /* value = text of it, value_len bytes */
    uint32_t value_len;
    int64_t rev; /* COMPACT */
};

struct model {
    struct model_step steps[MODEL_STEPS_MAX];
    size_t begun;
    size_t acked;
};

/* The value of a step, NUL-terminated. */
void model_value(const struct model_step *s, struct buf *out);

/* One step: begun, asked, acknowledged. 0 or the error (only a dead disk is the cause). */
int model_put(struct model *md, struct member_fixture *m, const char *key, uint32_t len);
int model_delete(struct model *md, struct member_fixture *m, const char *key);
int model_compact(struct model *md, struct member_fixture *m, int64_t rev, bool is_physical);
/* count puts under way at once, keys <prefix>0 ... */
int model_burst(struct model *md, struct member_fixture *m, const char *prefix, size_t count);

/* Compares a running member with the model; reason in why. */
int model_check(const struct model *md, struct member_fixture *m, struct buf *why);

#endif
