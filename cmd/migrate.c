/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig migrate: move a volume to another place, by the best method there is. */
#include <stdlib.h>
#include <string.h>

#include "migrate.h"
#include "report.h"

static const char *const methods[] = { "auto", "pvmove", "lvconvert", "copy", "reflink", "live" };

static int check(struct frame *frame, const struct migrate_options *move, struct request *request)
{
	const char *method = move->method, *wipe = move->wipe, *format = move->format;
	bool known = !method;

	for (size_t i = 0; method && i < sizeof(methods) / sizeof(methods[0]); i++)
		known = known || !strcmp(method, methods[i]);
	if (!known)
		return frame_usage(frame, method,
				   "--method takes auto, pvmove, lvconvert, copy, reflink or live");
	if (method)
		request->method = method;
	if (wipe && !strcmp(wipe, "zero"))
		request->wipe = WIPE_ZERO;
	else if (wipe && !strcmp(wipe, "discard"))
		request->wipe = WIPE_DISCARD;
	else if (wipe && strcmp(wipe, "none"))
		return frame_usage(frame, wipe, "--wipe takes none, zero or discard");
	if (move->fallback && !strcmp(move->fallback, "never"))
		request->fallback = FALLBACK_NEVER;
	else if (move->fallback && !strcmp(move->fallback, "on-refusal"))
		request->fallback = FALLBACK_ON_REFUSAL;
	else if (move->fallback && strcmp(move->fallback, "always"))
		return frame_usage(frame, move->fallback, "--fallback takes always, on-refusal or never");
	if (move->thin && !*move->thin)
		return frame_usage(frame, "--thin", "names no thin pool");
	if (move->thick && move->thin)
		return frame_usage(frame, "--thick", "contradicts --thin");
	request->thin_pool = move->thin;
	request->thick = move->thick;
	if (format && strcmp(format, "raw"))
		return frame_usage(frame, format, "--format takes raw");
	request->raw = format != NULL;
	return 0;
}

void migrate_table(struct migrate_options *move, struct poptOption running[static RUN_TABLE_SIZE],
		   struct poptOption table[static MIGRATE_TABLE_SIZE])
{
	const struct poptOption options[MIGRATE_TABLE_SIZE] = {
		{ "method", '\0', POPT_ARG_STRING, &move->method, 0,
		  "auto, lvconvert, pvmove, reflink, copy or live "
		  "(default: auto)", "METHOD" },
		{ "force-host-copy", '\0', POPT_ARG_NONE, &move->force_host_copy, 0,
		  "copy the bytes on this host even where there is a better way", NULL },
		{ "fallback", '\0', POPT_ARG_STRING, &move->fallback, 0,
		  "what follows on a method of the back end that cannot be used, or has failed and "
		  "was undone: always, on-refusal or never the next one (default: always)", "WHEN" },
		{ "thin", '\0', POPT_ARG_STRING, &move->thin, 0,
		  "make the new logical volume a thin one, in this pool of the place's group", "POOL" },
		{ "thick", '\0', POPT_ARG_NONE, &move->thick, 0,
		  "make the new logical volume no thin one although the source is thin", NULL },
		{ "into-existing", '\0', POPT_ARG_NONE, &move->into_existing, 0,
		  "PLACE is an existing volume: overwrite it", NULL },
		{ "compress", '\0', POPT_ARG_NONE, &move->compress, 0,
		  "compress the bytes on their way to another host, or from it, where that makes them fewer", NULL },
		{ "keep-source", '\0', POPT_ARG_NONE, &move->keep_source, 0,
		  "do not remove the source in the end", NULL },
		{ "wipe", '\0', POPT_ARG_STRING, &move->wipe, 0,
		  "none, zero or discard: empty the source once the copy is proven "
		  "(default: none)", "HOW" },
		{ "format", '\0', POPT_ARG_STRING, &move->format, 0,
		  "raw: the bytes are the volume, even if they look like an image format", "FORMAT" },
		{ "domain", '\0', POPT_ARG_STRING, &move->domain, 0,
		  "move disks of this domain, all together or none, in place of VOLUME", "DOMAIN" },
		{ "disk", '\0', POPT_ARG_ARGV, &move->disks, 0,
		  "of that domain only this disk, by its target; repeatable (default: all that can be moved)",
		  "TARGET" },
		{ "max-pause", '\0', POPT_ARG_STRING, &move->max_pause, 0,
		  "a guest, or a volume moved by lvconvert, may be suspended for so long to "
		  "compare both sides (default: 0, never)", "TIME" },
		{ "ceph-secret", '\0', POPT_ARG_STRING, &move->ceph_secret, 0,
		  "a running domain's disk onto Ceph: libvirt's secret with the key of its user", "UUID" },
		{ "tls-certificates", '\0', POPT_ARG_STRING, &move->tls_certificates, 0,
		  "read a running domain's disk under TLS with the certificates in DIR (default: those of its QEMU)",
		  "DIR" },
		RUN_GROUP(running),
		POPT_TABLEEND
	};

	memcpy(table, options, sizeof(options));
	run_table(&move->run, running);
}

/* What is moved where: a volume, or disks of a domain. */
static int check_arguments(struct frame *frame, struct migrate_options *move, struct request *request)
{
	size_t given = move->domain ? 0 : 1;

	if (move->disks && !move->domain)
		return frame_usage(frame, "--disk", "is for --domain");
	if (move->domain && frame->argument_count > 1)
		return frame_usage(frame, frame->arguments[1],
				   "one argument too many: with --domain there is only a PLACE");
	if (!move->domain && frame->argument_count < 2)
		return frame_usage(frame, NULL, "missing argument: volmig migrate needs VOLUME PLACE...");
	request->source = frame->arguments[0];
	request->destination = frame->arguments[given];
	request->places = &frame->arguments[given];
	if (!move->domain)
		return 0;
	move->domain_source = text_copy(move->domain);
	for (size_t i = 0; move->disks && move->disks[i]; i++) {
		char *more = text_format("%s%c%s", move->domain_source, i ? ',' : ':', move->disks[i]);

		free(move->domain_source);
		move->domain_source = more;
	}
	request->source = move->domain_source;
	request->domain = move->domain;
	request->disks = (const char *const *)move->disks;
	return 0;
}

int migrate_request(struct frame *frame, struct migrate_options *move,
		    struct request *request)
{
	request->command = COMMAND_MIGRATE;
	request->connect = frame->perform.connect;
	if (check_arguments(frame, move, request) < 0)
		return -1;
	request->force_host_copy = move->force_host_copy;
	request->keep_source = move->keep_source;
	request->compress = move->compress;
	request->compress_is_default = frame_is_default(frame, "compress");
	request->thin_is_default = frame_is_default(frame, move->thick ? "thick" : "thin");
	request->ceph_secret = move->ceph_secret;
	request->tls_certificates = move->tls_certificates;
	request->into_existing = move->into_existing;
	if (frame_run_options(frame, &move->run, request) < 0 ||
	    frame_time(frame, "max-pause", move->max_pause, &request->max_pause_ms) < 0)
		return -1;
	return check(frame, move, request);
}

void migrate_options_free(struct migrate_options *move)
{
	run_options_free(&move->run);
	free(move->method);
	free(move->fallback);
	free(move->thin);
	free(move->wipe);
	free(move->format);
	free(move->max_pause);
	free(move->ceph_secret);
	free(move->tls_certificates);
	free(move->domain);
	free(move->domain_source);
	for (size_t i = 0; move->disks && move->disks[i]; i++)
		free(move->disks[i]);
	free(move->disks);
	*move = (struct migrate_options){ 0 };
}

int cmd_migrate(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct migrate_options move = { 0 };
	struct request request = REQUEST_DEFAULTS;
	struct poptOption output[OUTPUT_TABLE_SIZE], running[RUN_TABLE_SIZE];
	struct poptOption moving[MIGRATE_TABLE_SIZE];
	const struct poptOption table[] = {
		{ NULL, '\0', POPT_ARG_INCLUDE_TABLE, moving, 0, "What to do:", NULL },
		OUTPUT_GROUP(output),
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret;

	output_table(&frame.out, output);
	migrate_table(&move, running, moving);
	/* One where it is of a domain's disks. */
	ret = frame_begin(&frame, cmd, globals, argc, argv, table, 1, 7);
	if (ret)
		goto out;
	ret = -1;
	if (migrate_request(&frame, &move, &request) < 0 || frame_start(&frame) < 0)
		goto out;
	ret = perform_move(&request, &frame.perform, &report, &frame.err);
	if (ret == 0 && !frame.out.json && !frame.out.quiet)
		report_print(report, stdout);
out:
	ret = frame_end(&frame, ret, report);
	migrate_options_free(&move);
	return ret;
}
