/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Volumes of other hosts: looked at by asking, and read and written as NBD over ssh. */
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "sys/nbd.h"
#include "sys/ssh.h"
#include "sys/wire.h"
#include "volumes/far.h"
#include "volumes/far_name.h"
#include "volumes/nbd_volume.h"
#include "volumes/spec.h"

static int ssh_inspect(const struct spec *spec, unsigned flags, struct facts *facts, struct err *err)
{
	struct far_host host = { 0 };
	struct facts there = { 0 };
	char *name = NULL, *text = NULL;
	json_t *reply = NULL;
	int ret = -1;

	(void)flags;
	facts_free(facts);
	if (far_name_parse(spec->text, spec->place, &host, &name, err) < 0)
		return -1;
	text = far_host_text(&host);
	if (spec->place) {
		/* A place is looked at by its host when that plans: only it knows what shall be there. */
		there.path = text_copy(name);
		ret = 0;
	} else if (far_ask(text, json_pack("{s:s, s:o}", "do", "look", "name", json_name(name)), NULL,
			   &reply, err) < 0) {
		/* Nothing was begun. */
		if (err->number == WIRE_LOST)
			err->class = ERR_REFUSED;
	} else {
		ret = facts_from_json(&there, json_object_get(reply, "facts"), err);
		if (ret == 0 && (!there.path || facts_is_far(&there)))
			ret = err_set(err, ERR_REFUSED, text, "does not say what volume it has");
	}
	if (ret == 0)
		far_facts(text, spec->text, &there, facts);
	json_decref(reply);
	facts_free(&there);
	far_host_free(&host);
	free(name);
	free(text);
	return ret;
}

/* The connection is closed by now: that ends the program at its other end, and ssh. */
static void ssh_release(struct volume *vol)
{
	if (vol->ssh)
		far_close_data(vol->ssh);
	free(vol->ssh);
	vol->ssh = NULL;
}

static int ssh_open(struct volume *vol, const struct facts *facts, unsigned flags, uint64_t patience_ms,
		    struct err *err)
{
	struct nbd *nbd = NULL;
	uint64_t bytes;
	int fd;

	vol->ssh = text_alloc(1, sizeof(*vol->ssh));
	*vol->ssh = (struct ssh)SSH_INIT;
	if (far_open_data(facts->host, flags & OPEN_WRITE, vol->ssh, &bytes, err) < 0)
		return -1;
	fd = vol->ssh->fd;
	ssh_give_away(vol->ssh);
	if (nbd_export_open_socket(&nbd, fd, "", vol->path, FAR_LIMIT_MS, err) < 0) {
		/* If it is because of what came in, that is the better reason. */
		ssh_release(vol);
		far_check_data(facts->host, err);
		return -1;
	}
	if (nbd_volume_setup(vol, nbd, flags, patience_ms, err) < 0)
		return -1;
	/* What is made there is a file with nothing in it, or it is known to be otherwise. */
	vol->fresh = flags & OPEN_FRESH;
	return 0;
}

const struct volume_ops ssh_volume_ops = {
	.kind		= "ssh",
	.spec_kind	= SPEC_SSH,
	.inspect	= ssh_inspect,
	.open		= ssh_open,
	.release	= ssh_release,
	.next_data	= nbd_volume_next_data,
	.zero		= nbd_volume_zero,
};

/* The end of who asks us: nothing of it can be reached from here. */
const struct volume_ops peer_volume_ops = {
	.kind	= "peer",
};
