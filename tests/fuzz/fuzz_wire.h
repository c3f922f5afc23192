/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input of fuzz_wire. OFFSET/SIZE:
 *   0  1  what follows: 'r' a request frame (header and body), 's' a response frame, 'm' a body
 *   1  2  's': API key; 'm': number of the message (wire_message_at); big-endian; 'r': nothing
 *   3  1  's' and 'm': version
 *   4  .. the bytes ('r': from 1 on)
 */
#ifndef FARSHORE_TESTS_FUZZ_WIRE_H
#define FARSHORE_TESTS_FUZZ_WIRE_H

enum { FUZZ_WIRE_REQUEST = 'r', FUZZ_WIRE_RESPONSE = 's', FUZZ_WIRE_MESSAGE = 'm' };

#endif
