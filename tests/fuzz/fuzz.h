/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a fuzz target and whoever drives it agree on; the name and the form are libFuzzer's. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
