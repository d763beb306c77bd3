/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/service/bed: the services over a fake core, asked by our own gRPC client in memory.
 */
#ifndef TEST_SERVICE_BED_H
#define TEST_SERVICE_BED_H

#include "../grpc/bed.h"
#include "fake_core.h"
#include "wire/kv.h"

struct service_bed {
    struct bed bed;
    struct service *service;
    struct result r;
    struct grpc_client_call *call;
};

extern struct service_bed sb;

int service_bed_setup(void **state);
int service_bed_teardown(void **state);
/* Options of the service are set before the first ask; the default has fake_peers and T = 7 s. */
extern struct service_options service_bed_options;

/* Sends a unary request; the answer, when there is one, is in sb.r. */
void ask(const char *method, const struct buf *msg);
/* The same for a request without fields. */
void ask_empty(const char *method);
/* Lets the core's answer come through. */
void answered(struct core_request *r, int err);
/* The answer's bytes as `field:value` text: numbers in decimal, texts as they are, messages in
 * braces. */
void expect_fields(const char *want);

#endif
