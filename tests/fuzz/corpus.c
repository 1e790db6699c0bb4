/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main() of a fuzz target where libFuzzer is not at hand: runs it over the
 * files of a directory, over every beginning of each, and over each with every
 * byte changed (of a large file, over a few hundred).  Speaks TAP.  fuzz_spec takes tests/fuzz/corpus-spec, and so
 * on, unless another directory is given.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define PLACES 256

static bool run_file(const char *path)
{
	uint8_t *data = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "rb");

	if (!file)
		return false;
	for (int c; (c = getc(file)) != EOF;) {
		if (size % BUFSIZ == 0) {
			data = realloc(data, size + BUFSIZ);
			if (!data)
				abort();
		}
		data[size++] = (uint8_t)c;
	}
	fclose(file);

	LLVMFuzzerTestOneInput(data, size);
	for (size_t i = 0; i < size; i += size / PLACES + 1) {
		static const uint8_t changes[] = { 0x01, 0x80 };

		LLVMFuzzerTestOneInput(data, i);
		for (size_t k = 0; k < sizeof(changes); k++) {
			data[i] ^= changes[k];
			LLVMFuzzerTestOneInput(data, size);
			data[i] ^= changes[k];
		}
	}
	free(data);
	return true;
}

static int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	struct dirent **entries;
	char dir[512], path[1024];
	int count;
	int ret = 0;

	name = name ? name + 1 : argv[0];
	if (argc > 1)
		snprintf(dir, sizeof(dir), "%s", argv[1]);
	else
		snprintf(dir, sizeof(dir), "tests/fuzz/corpus-%s", name + strlen("fuzz_"));

	count = scandir(dir, &entries, no_dots, alphasort);
	if (count <= 0) {
		printf("Bail out! %s: no corpus\n", dir);
		return 1;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		bool ok;

		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		/* If the target dies, the last line tells which input it was. */
		printf("# %s\n", path);
		fflush(stdout);
		ok = run_file(path);
		printf("%s %d - %s\n", ok ? "ok" : "not ok", i + 1, entries[i]->d_name);
		if (!ok)
			ret = 1;
		free(entries[i]);
	}
	free(entries);
	return ret;
}
