/* SPDX-License-Identifier: Apache-2.0
 *
 * base/prng: xoshiro256** from a seed.  Not for secrets: those come from env_rand.
 */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t s[4];
};

void prng_init(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);
/* Uniform in [0, bound); bound > 0. */
uint64_t prng_below(struct prng *p, uint64_t bound);
/* True with probability num / den. */
int prng_chance(struct prng *p, uint64_t num, uint64_t den);

#endif
