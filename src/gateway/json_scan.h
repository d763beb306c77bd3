/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/json_scan: where a JSON value ends in bytes that come in pieces, and whether it is one,
 * with the texts of Go's encoding/json.
 *
 * Design      One byte a step; the state survives between pieces, so nothing is looked at twice.
 * Ownership   init / deinit; the input is the caller's.
 * Limits      JSON_SCAN_DEPTH_MAX levels, as Go's.
 * See         client-api 5.2, 5.3; test/unit/gateway/json_scan_test.c.
 */
#ifndef GATEWAY_JSON_SCAN_H
#define GATEWAY_JSON_SCAN_H

#include "base/buf.h"

enum { JSON_SCAN_DEPTH_MAX = 10000, JSON_SCAN_WHY_MAX = 96 };

enum json_scan_result {
    JSON_SCAN_MORE,  /* the value goes on */
    JSON_SCAN_VALUE, /* a whole one */
    JSON_SCAN_EMPTY, /* nothing but blanks up to the end */
    JSON_SCAN_ERROR, /* why says it */
};

struct json_scan {
    size_t at;    /* looked at so far */
    size_t start; /* of the value */
    int state;
    struct buf stack; /* a byte for each open object or array */
    char why[JSON_SCAN_WHY_MAX];
};

void json_scan_init(struct json_scan *s);
void json_scan_deinit(struct json_scan *s);
/* For the next value. */
void json_scan_reset(struct json_scan *s);
/* in: everything since the reset, what was seen before unchanged.  is_end: nothing follows.  VALUE:
 * it lies between s->start and s->at. */
enum json_scan_result json_scan_next(struct json_scan *s, struct slice in, bool is_end);
/* json.Unmarshal's check: one value and nothing else in s; "" when it is good. */
void json_scan_whole(struct slice in, char why[JSON_SCAN_WHY_MAX]);

#endif
