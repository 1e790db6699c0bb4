/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig swap: move the disk of a running domain onto another volume; the old one stays. */
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "report.h"
#include "support/text.h"

struct swap_options {
	int create, into_existing, sync_writes;
	char *cutover, *granularity, *api, *max_pause, *ceph_secret, *tls_certificates;
};

static int check(struct frame *frame, const struct swap_options *swap, struct request *request)
{
	uint64_t granularity = 0;

	if (swap->create && swap->into_existing)
		return frame_usage(frame, "--create", "contradicts --into-existing");
	if (swap->cutover && !strcmp(swap->cutover, "manual"))
		request->hold = true;
	else if (swap->cutover && strcmp(swap->cutover, "auto"))
		return frame_usage(frame, swap->cutover, "--cutover takes auto or manual");
	if (swap->api && !strcmp(swap->api, "copy"))
		request->api = LIVE_API_COPY;
	else if (swap->api && !strcmp(swap->api, "rebase"))
		request->api = LIVE_API_REBASE;
	else if (swap->api && strcmp(swap->api, "auto"))
		return frame_usage(frame, swap->api, "--api takes auto, copy or rebase");
	if (swap->granularity && (text_parse_size(swap->granularity, &granularity) < 0 ||
				  granularity < 512 || granularity > 64 << 20 ||
				  (granularity & (granularity - 1))))
		return frame_usage(frame, swap->granularity,
				   "--granularity takes a power of two from 512 to 64M");
	request->granularity = (uint32_t)granularity;
	request->sync_writes = swap->sync_writes;
	if (request->api == LIVE_API_REBASE && (request->sync_writes || granularity))
		return frame_usage(frame, "--api=rebase", "contradicts --sync-writes and --granularity");
	return frame_time(frame, "max-pause", swap->max_pause, &request->max_pause_ms);
}

int cmd_swap(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct run_options run = { 0 };
	struct request request = REQUEST_DEFAULTS;
	struct swap_options swap = { 0 };
	struct poptOption output[OUTPUT_TABLE_SIZE], running[RUN_TABLE_SIZE];
	const struct poptOption table[] = {
		{ "create", '\0', POPT_ARG_NONE, &swap.create, 0,
		  "make DEST: a new file or logical volume, or the directory or group for one", NULL },
		{ "into-existing", '\0', POPT_ARG_NONE, &swap.into_existing, 0,
		  "overwrite DEST even if it holds a known signature (a file system, ...)", NULL },
		{ "cutover", '\0', POPT_ARG_STRING, &swap.cutover, 0,
		  "auto, or manual: stay mirrored until volmig resume (default: auto)", "WHEN" },
		{ "sync-writes", '\0', POPT_ARG_NONE, &swap.sync_writes, 0,
		  "the guest's writes go to both disks at once, so that the mirror always gets ready", NULL },
		{ "granularity", '\0', POPT_ARG_STRING, &swap.granularity, 0,
		  "copy again in pieces of so many bytes what the guest has written", "BYTES" },
		{ "max-pause", '\0', POPT_ARG_STRING, &swap.max_pause, 0,
		  "suspend the guest for at most so long to compare both disks (default: 0, not at all)", "TIME" },
		{ "api", '\0', POPT_ARG_STRING, &swap.api, 0,
		  "libvirt's copy (BlockCopy) or rebase (BlockRebase), or auto (default: auto)", "API" },
		{ "ceph-secret", '\0', POPT_ARG_STRING, &swap.ceph_secret, 0,
		  "a running domain's disk onto Ceph: libvirt's secret with the key of its user", "UUID" },
		{ "tls-certificates", '\0', POPT_ARG_STRING, &swap.tls_certificates, 0,
		  "read a disk under TLS with the certificates in DIR (default: those of its QEMU)", "DIR" },
		RUN_GROUP(running),
		OUTPUT_GROUP(output),
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	char *source = NULL;
	int ret;

	output_table(&frame.out, output);
	run_table(&run, running);
	ret = frame_begin(&frame, cmd, globals, argc, argv, table, 3, 3);
	if (ret)
		goto out;
	ret = -1;
	source = text_format("%s:%s", frame.arguments[0], frame.arguments[1]);
	request.command = COMMAND_SWAP;
	request.source = source;
	request.domain = frame.arguments[0];
	request.disk = frame.arguments[1];
	request.destination = frame.arguments[2];
	request.connect = globals->connect;
	request.create = swap.create;
	request.ceph_secret = swap.ceph_secret;
	request.tls_certificates = swap.tls_certificates;
	request.into_existing = swap.into_existing;
	if (check(&frame, &swap, &request) == 0 && frame_run_options(&frame, &run, &request) == 0 &&
	    frame_start(&frame) == 0)
		ret = perform_move(&request, &frame.perform, &report, &frame.err);
	if (ret == 0 && !frame.out.json && !frame.out.quiet)
		report_print(report, stdout);
out:
	run_options_free(&run);
	ret = frame_end(&frame, ret, report);
	free(source);
	free(swap.cutover);
	free(swap.granularity);
	free(swap.api);
	free(swap.max_pause);
	free(swap.ceph_secret);
	free(swap.tls_certificates);
	return ret;
}
