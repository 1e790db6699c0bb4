/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hashes of a copy, in a file. */
#include "engines/leaves.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/blocks.h"
#include "support/err.h"
#include "support/text.h"

/*
 * One piece of the file is kept in memory, the one used last.  A copy goes
 * through the leaves nearly in order, so it is loaded and written once for
 * each 4 GiB of the volume, and again at checkpoints.
 */
#define CACHE_LEAVES 4096U
#define NO_PIECE UINT64_MAX

struct leaves {
	int fd;				/* -1: there is one leaf, and it is kept in *single */
	struct hash *single;
	char *path;
	uint64_t bytes;			/* of the volume */
	uint64_t count;
	bool unsynced;			/* something was written since leaves_sync() */
	uint64_t piece;			/* which CACHE_LEAVES leaves are in memory, or NO_PIECE */
	unsigned dirty_from, dirty_to;	/* leaves of it that the file does not have yet */
	struct hash cache[];		/* room for so many, or for all */
};

static bool is_zero(const struct hash *hash)
{
	return memory_is_zero(hash->bytes, sizeof(hash->bytes));
}

/*
 * Sixteen zero bytes mean a leaf of zeroes, so no other leaf may have them for
 * a hash.  The one hash in 2^128 that is zero is recorded as its neighbour.
 */
static struct hash never_zero(struct hash hash)
{
	if (is_zero(&hash))
		hash.bytes[HASH_BYTES - 1] = 1;
	return hash;
}

static struct hash leaf_hash(const void *data, size_t length)
{
	return never_zero(hash_of(data, length));
}

static int no_short_file(const struct leaves *leaves, struct err *err)
{
	return err_set(err, ERR_FAILED, leaves->path, "is shorter than it was made");
}

static int write_out(struct leaves *leaves, struct err *err)
{
	const char *from = (const char *)&leaves->cache[leaves->dirty_from];
	size_t left = (leaves->dirty_to - leaves->dirty_from) * sizeof(struct hash);
	uint64_t at = (leaves->piece * CACHE_LEAVES + leaves->dirty_from) * sizeof(struct hash);

	if (leaves->single && left > 0) {
		*leaves->single = leaves->cache[0];
		left = 0;
	}
	while (left > 0) {
		ssize_t n = pwrite(leaves->fd, from, left, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, leaves->path, "cannot write");
		from += n;
		at += (uint64_t)n;
		left -= (size_t)n;
		leaves->unsynced = true;
	}
	leaves->dirty_from = leaves->dirty_to = 0;
	return 0;
}

/* Have the leaf in memory. */
static int load(struct leaves *leaves, uint64_t i, struct err *err)
{
	uint64_t piece = i / CACHE_LEAVES;
	uint64_t first = piece * CACHE_LEAVES;
	uint64_t count = leaves->count - first < CACHE_LEAVES ? leaves->count - first : CACHE_LEAVES;
	size_t size = (size_t)count * sizeof(struct hash), got = 0;

	if (leaves->piece == piece)
		return 0;
	if (write_out(leaves, err) < 0)
		return -1;
	leaves->piece = NO_PIECE;
	if (leaves->single) {
		leaves->cache[0] = *leaves->single;
		got = size;
	}
	while (got < size) {
		ssize_t n = pread(leaves->fd, (char *)leaves->cache + got, size - got,
				  (off_t)(first * sizeof(struct hash) + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, leaves->path, "cannot read");
		if (n == 0)
			return no_short_file(leaves, err);
		got += (size_t)n;
	}
	leaves->piece = piece;
	return 0;
}

/* The name of a new file must survive a power cut as well as what is in it. */
static int sync_directory(const char *path)
{
	char *dir = text_copy(path);
	char *slash = strrchr(dir, '/');
	int fd, ret = -1;

	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		ret = fsync(fd);
		close(fd);
	}
	free(dir);
	return ret;
}

/* How many of these hashes are in memory at a time; where there is none, there is room for one all the same. */
static size_t cached(uint64_t count)
{
	return count > CACHE_LEAVES ? CACHE_LEAVES : count ? (size_t)count : 1;
}

int leaves_open(struct leaves **ret, const char *path, uint64_t bytes, struct hash *single,
		struct err *err)
{
	const uint64_t count = bytes / LEAF_BYTES + (bytes % LEAF_BYTES != 0);
	struct leaves *leaves = text_alloc(1, sizeof(*leaves) + cached(count) * sizeof(leaves->cache[0]));
	uint64_t size;
	struct stat st;

	leaves->path = text_copy(path);
	leaves->bytes = bytes;
	leaves->count = count;
	leaves->piece = NO_PIECE;
	leaves->fd = -1;
	if (single && leaves->count == 1) {
		leaves->single = single;
		*ret = leaves;
		return 0;
	}
	size = leaves->count * sizeof(struct hash);
	leaves->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (leaves->fd < 0 || fstat(leaves->fd, &st) < 0) {
		err_sys(err, errno, path, "cannot open");
		goto fail;
	}
	if (st.st_size == 0 && size != 0 &&
	    (ftruncate(leaves->fd, (off_t)size) < 0 || fsync(leaves->fd) < 0 ||
	     sync_directory(path) < 0)) {
		err_sys(err, errno, path, "cannot create");
		goto fail;
	}
	if (st.st_size != 0 && (uint64_t)st.st_size != size) {
		err_set(err, ERR_FAILED, path, "holds the hashes of a volume of another size");
		goto fail;
	}
	*ret = leaves;
	return 0;
fail:
	leaves_close(leaves);
	return -1;
}

uint64_t leaves_count(const struct leaves *leaves)
{
	return leaves->count;
}

uint64_t leaves_bytes(const struct leaves *leaves)
{
	return leaves->bytes;
}

uint32_t leaves_length(const struct leaves *leaves, uint64_t i)
{
	uint64_t left = leaves->bytes - i * LEAF_BYTES;

	return left < LEAF_BYTES ? (uint32_t)left : LEAF_BYTES;
}

int leaves_set_hash(struct leaves *leaves, uint64_t i, const struct hash *hash, struct err *err)
{
	unsigned k = (unsigned)(i % CACHE_LEAVES);

	assert(i < leaves->count);
	if (load(leaves, i, err) < 0)
		return -1;
	/* What is there already is not written, so zero leaves stay holes of the file. */
	if (!memcmp(&leaves->cache[k], hash, sizeof(*hash)))
		return 0;
	leaves->cache[k] = *hash;
	if (leaves->dirty_from == leaves->dirty_to) {
		leaves->dirty_from = k;
		leaves->dirty_to = k + 1;
	} else if (k < leaves->dirty_from) {
		leaves->dirty_from = k;
	} else if (k >= leaves->dirty_to) {
		leaves->dirty_to = k + 1;
	}
	return 0;
}

int leaves_set(struct leaves *leaves, uint64_t i, const void *data, struct err *err)
{
	struct hash hash = { { 0 } };

	if (data && !memory_is_zero(data, leaves_length(leaves, i)))
		hash = leaf_hash(data, leaves_length(leaves, i));
	return leaves_set_hash(leaves, i, &hash, err);
}

/* Does the file hold nothing but a hole between the two? */
static bool is_hole(const struct leaves *leaves, off_t from, off_t to)
{
	off_t data = lseek(leaves->fd, from, SEEK_DATA);

	return data < 0 ? errno == ENXIO : data >= to;
}

/* Make whole pieces zero, from piece on. */
static int zero_pieces(struct leaves *leaves, uint64_t piece, uint64_t count, struct err *err)
{
	const off_t size = CACHE_LEAVES * sizeof(struct hash);
	off_t from = (off_t)piece * size, to = from + (off_t)count * size;

	if (leaves->piece >= piece && leaves->piece < piece + count) {
		leaves->piece = NO_PIECE;
		leaves->dirty_from = leaves->dirty_to = 0;
	}
	if (is_hole(leaves, from, to))
		return 0;
	leaves->unsynced = true;
	if (!fallocate(leaves->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from))
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return err_sys(err, errno, leaves->path, "cannot write");
	/* A file system without holes: the plain way. */
	for (; count > 0; piece++, count--)
		for (uint64_t k = 0; k < CACHE_LEAVES; k++)
			if (leaves_set_hash(leaves, piece * CACHE_LEAVES + k,
					    &(struct hash){ { 0 } }, err) < 0)
				return -1;
	return 0;
}

int leaves_set_zeroes(struct leaves *leaves, uint64_t first, uint64_t count, struct err *err)
{
	const struct hash zero = { { 0 } };
	uint64_t end = first + count;

	while (first < end) {
		uint64_t whole = (end - first) / CACHE_LEAVES;

		if (first % CACHE_LEAVES == 0 && whole > 0) {
			if (zero_pieces(leaves, first / CACHE_LEAVES, whole, err) < 0)
				return -1;
			first += whole * CACHE_LEAVES;
		} else {
			if (leaves_set_hash(leaves, first, &zero, err) < 0)
				return -1;
			first++;
		}
	}
	return 0;
}

int leaves_zero(struct leaves *leaves, uint64_t i, struct err *err)
{
	assert(i < leaves->count);
	if (load(leaves, i, err) < 0)
		return -1;
	return is_zero(&leaves->cache[i % CACHE_LEAVES]);
}

int leaves_get(struct leaves *leaves, uint64_t i, struct hash *ret, struct err *err)
{
	assert(i < leaves->count);
	if (load(leaves, i, err) < 0)
		return -1;
	*ret = leaves->cache[i % CACHE_LEAVES];
	return 0;
}

int leaves_match(struct leaves *leaves, uint64_t i, const void *data, struct err *err)
{
	int zero = leaves_zero(leaves, i, err);
	struct hash hash;

	if (zero < 0)
		return -1;
	if (!data)
		return zero;
	if (zero)
		return memory_is_zero(data, leaves_length(leaves, i));
	hash = leaf_hash(data, leaves_length(leaves, i));
	return !memcmp(&hash, &leaves->cache[i % CACHE_LEAVES], sizeof(hash));
}

int leaves_next_data(struct leaves *leaves, uint64_t i, uint64_t *ret_leaf, struct err *err)
{
	while (i < leaves->count) {
		/* A hole of the file is passed in one step; what is in memory is looked at there. */
		if (leaves->piece != i / CACHE_LEAVES && !leaves->single) {
			off_t at = (off_t)(i * sizeof(struct hash)), data;

			if (write_out(leaves, err) < 0)
				return -1;
			data = lseek(leaves->fd, at, SEEK_DATA);
			if (data < 0 && errno == ENXIO)
				break;
			if (data > at)
				i = (uint64_t)data / sizeof(struct hash);
			if (i >= leaves->count)
				break;
		}
		if (load(leaves, i, err) < 0)
			return -1;
		do {
			if (!is_zero(&leaves->cache[i % CACHE_LEAVES])) {
				*ret_leaf = i;
				return 0;
			}
			i++;
		} while (i < leaves->count && i % CACHE_LEAVES != 0);
	}
	*ret_leaf = leaves->count;
	return 0;
}

int leaves_sync(struct leaves *leaves, struct err *err)
{
	if (write_out(leaves, err) < 0)
		return -1;
	if (leaves->unsynced && fdatasync(leaves->fd) < 0)
		return err_sys(err, errno, leaves->path, "cannot sync");
	leaves->unsynced = false;
	return 0;
}

/* The hash of so many zeroes, a few at a time: of all of them in memory each page would have to be got first. */
static struct hash zeroes_hash(size_t length)
{
	static const unsigned char zeroes[BLOCK_BYTES];
	struct hash_stream *stream = hash_stream_new();

	for (size_t some; length > 0; length -= some) {
		some = length < sizeof(zeroes) ? length : sizeof(zeroes);
		hash_stream_add(stream, zeroes, some);
	}
	return never_zero(hash_stream_end(stream));
}

/* Add the hashes of leaves first to end - 1, which are zeroes, many at a time. */
static void add_zeroes(struct hash_stream *stream, const struct leaves *leaves, uint64_t first,
		       uint64_t end, struct hash *many)
{
	bool short_end = end == leaves->count && leaves_length(leaves, end - 1) < LEAF_BYTES;

	/* The first time. */
	if (first < end && is_zero(&many[0])) {
		many[0] = zeroes_hash(LEAF_BYTES);
		for (size_t k = 1; k < cached(leaves->count); k++)
			many[k] = many[0];
	}
	end -= short_end;
	while (first < end) {
		uint64_t count = end - first < CACHE_LEAVES ? end - first : CACHE_LEAVES;

		hash_stream_add(stream, many, (size_t)count * sizeof(*many));
		first += count;
	}
	if (short_end) {
		struct hash last = zeroes_hash(leaves_length(leaves, end));

		hash_stream_add(stream, &last, sizeof(last));
	}
}

int leaves_root(struct leaves *leaves, struct hash *ret_root, struct err *err)
{
	struct hash_stream *stream = hash_stream_new();
	struct hash *many = text_alloc(cached(leaves->count), sizeof(*many));
	uint64_t i = 0, next;
	int ret = -1;

	while (i < leaves->count) {
		if (leaves_next_data(leaves, i, &next, err) < 0)
			goto out;
		if (next > i)
			add_zeroes(stream, leaves, i, next, many);
		i = next;
		if (i < leaves->count) {
			hash_stream_add(stream, &leaves->cache[i % CACHE_LEAVES], sizeof(struct hash));
			i++;
		}
	}
	ret = 0;
out:
	free(many);
	*ret_root = hash_stream_end(stream);
	return ret;
}

void leaves_close(struct leaves *leaves)
{
	if (!leaves)
		return;
	if (leaves->fd >= 0)
		close(leaves->fd);
	free(leaves->path);
	free(leaves);
}
