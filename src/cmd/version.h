/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/version: what the programs say they are.  Under etcd's names they name the release of etcd
 * that they match, because scripts compare it.
 */
#ifndef CMD_VERSION_H
#define CMD_VERSION_H

#define VERSION_CAIRN "0.1.0"
#define VERSION_ETCD "3.7.1"
#define VERSION_API "3.7"

#endif
