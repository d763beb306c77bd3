/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate of one page run: what it lets through is read whole, in bounds (asan).
 * deps: bolt_dep
 */
#include <stdlib.h>

#include "bolt/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_all(const uint8_t *p)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < page_count(p); i++) {
        struct slice key = page_key(p, i);
        for (size_t k = 0; k < key.len; k++) {
            sum += key.data[k];
        }
        if (page_is_leaf(p)) {
            struct slice v = page_leaf_value(p, i);
            for (size_t k = 0; k < v.len; k++) {
                sum += v.data[k];
            }
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ID = 3, HWM = 64 };
    if (size < PAGE_HEADER_BYTES) {
        return 0;
    }
    /* Memory of exactly this size, so that a step over its end is seen. */
    uint8_t *page = malloc(size);
    memcpy(page, data, size);
    store_le64(page, ID);
    struct why why;
    volatile size_t sum = 0;
    if (page_validate(page, size, ID, HWM, &why) == 0) {
        bool exact;
        sum = read_all(page);
        if (page_is_leaf(page)) {
            sum += page_leaf_search(page, SLICE_LIT("key"), &exact);
        } else {
            sum += page_branch_search(page, SLICE_LIT("key"));
        }
    }
    (void)sum;
    free(page);
    return 0;
}
