/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_txn: the lines of `txn`: compares and requests (cli.md 2.4 txn).
 *
 * Design      Pure functions of a line.  Keys and values may hold any byte ("\x00"), so everything
 *             is slices.
 * Ownership   Results live in the arena.
 * Thread      any.
 * Failure     non-zero = exit status, with the text for `Error: ` in fail->text and what goes
 *             before it (usage) in fail->before.
 * See         test/unit/cmd/ctl_txn_test.c, test/fuzz/ctl_txn_fuzz.c
 */
#ifndef CMD_CTL_TXN_H
#define CMD_CTL_TXN_H

#include "cmd/cli.h"
#include "wire/kv.h"

enum { CTL_WORDS_MAX = 4096 };

struct ctl_fail {
    int rc;
    struct buf text;
    struct buf before;
    bool is_delayed_del; /* a `del` of a range without --range was seen: caller waits 2 s */
};

void ctl_fail_init(struct ctl_fail *f);
void ctl_fail_deinit(struct ctl_fail *f);
/* Sets rc and text; returns rc. */
PRINTF_LIKE(3, 4) int ctl_fail(struct ctl_fail *f, int rc, const char *fmt, ...);

/* Cuts a line into words as txn and interactive watch do: "..." with escapes, '...' as it is, runs
 * of other characters.  0, or rc 3 for a bad escape. */
MUST_USE int ctl_words(struct slice line, struct arena *a, struct slice *out, size_t max,
                       size_t *out_count, struct ctl_fail *fail);

/* line without blanks around it. */
MUST_USE int ctl_txn_compare(struct slice line, struct arena *a, struct wire_compare *out,
                             struct ctl_fail *fail);
MUST_USE int ctl_txn_op(struct slice line, struct arena *a, struct wire_op *out,
                        struct ctl_fail *fail);

/* The next line of *in without blanks around it; false when no line with a newline is left. */
bool ctl_txn_line(struct slice *in, struct slice *out_line);

#endif
