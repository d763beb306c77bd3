/* SPDX-License-Identifier: Apache-2.0
 *
 * base/version: what the programs say they are.
 *
 * Wherever tools look for etcd's version the compatibility version comes first (one constant);
 * Cairn's own stands behind it.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define VERSION_CAIRN "0.1.0"
#define VERSION_ETCD "3.7.1"
#define VERSION_API "3.7"
#define VERSION_GIT_SHA "Not provided (Cairn " VERSION_CAIRN ")"
#define VERSION_GO "none (C17)"
#if defined(__aarch64__)
#define VERSION_ARCH "arm64"
#else
#define VERSION_ARCH "amd64"
#endif

#endif
