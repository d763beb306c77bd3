/* SPDX-License-Identifier: Apache-2.0
 *
 * The msgapp stream of a peer: see peer_stream.h.
 */
#include "peer_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return peer_stream_fuzz(PEER_CHANNEL_MSGAPP, data, size);
}
