/* SPDX-License-Identifier: Apache-2.0
 *
 * The message stream of a peer: see peer_stream.h.
 */
#include "peer_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return peer_stream_fuzz(PEER_CHANNEL_MESSAGE, data, size);
}
