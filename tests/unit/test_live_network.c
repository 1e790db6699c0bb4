/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libvirt, QEMU and we call an export or an image: each name leads to the others, and to no other volume. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engines/live_network.h"
#include "engines/step.h"
#include "support/err.h"
#include "support/text.h"
#include "sys/virt_xml.h"
#include "volumes/qemu.h"

static struct move to_nbd(const char *uri)
{
	return (struct move){ .destination = { .kind = "nbd", .spec = (char *)uri, .path = (char *)uri } };
}

/* The element for libvirt, what that is called, and the name that we find it by again. */
static void is_called(const char *uri, const char *element, const char *text, const char *name)
{
	struct move move = to_nbd(uri);
	char *got = NULL, *got_text = NULL, *got_name, *disk;
	struct virt_disks disks = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(live_network_source(&move, 0, NULL, &got, &got_text, &err), 0);
	assert_string_equal(got, element);
	assert_string_equal(got_text, text);
	disk = virt_xml_network_disk(got);
	assert_int_equal(virt_xml_disks(disk, &disks, &err), 0);
	got_name = live_network_name(&disks.items[0].source, NULL);
	assert_string_equal(got_name, name);
	virt_disks_free(&disks);
	free(disk);
	free(got_name);
	/* QEMU, which was given that, names it so: it is the same for us. */
	got_name = live_network_of_qemu(name);
	assert_non_null(got_name);
	assert_true(live_network_same(got_name, text));
	free(got_name);
	free(got);
	free(got_text);
}

static void exports_have_one_name(void **state)
{
	(void)state;
	is_called("nbd://h/web", "<source protocol='nbd' name='web'><host name='h' port='10809'/></source>",
		  "nbd:h:10809/web", "nbd://h:10809/web");
	is_called("nbd://me@h:10810", "<source protocol='nbd'><host name='h' port='10810'/></source>",
		  "nbd:h:10810", "nbd://h:10810/");
	is_called("nbd://[fe80::1]:10810/web",
		  "<source protocol='nbd' name='web'><host name='fe80::1' port='10810'/></source>",
		  "nbd:[fe80::1]:10810/web", "nbd://[fe80::1]:10810/web");
	is_called("nbd://[::1]/web", "<source protocol='nbd' name='web'><host name='::1' port='10809'/></source>",
		  "nbd:[::1]:10809/web", "nbd://[::1]:10809/web");
	is_called("nbd+unix:///web?socket=/run/a%20b",
		  "<source protocol='nbd' name='web'><host transport='unix' socket='/run/a b'/></source>",
		  "nbd:/run/a b/web", "nbd+unix:///web?socket=/run/a%20b");
	is_called("nbd+unix:///?x=y&socket=/run/s", "<source protocol='nbd'><host transport='unix' socket='/run/s'/></source>",
		  "nbd:/run/s", "nbd+unix:///?socket=/run/s");
}

/* Where volmig's own certificates are is no matter of libvirt's. */
static void exports_under_tls(void **state)
{
	(void)state;
	is_called("nbds://h/web?tls-certificates=/etc/own",
		  "<source protocol='nbd' name='web' tls='yes'><host name='h' port='10809'/></source>",
		  "nbd:h:10809/web", "nbds://h:10809/web");
	is_called("nbds://[::1]:10810/web?tls-hostname=stor2",
		  "<source protocol='nbd' name='web' tls='yes' tlsHostname='stor2'><host name='::1' port='10810'/></source>",
		  "nbd:[::1]:10810/web", "nbds://[::1]:10810/web?tls-hostname=stor2");
	is_called("nbds+unix:///?tls-hostname=stor2&socket=/run/s",
		  "<source protocol='nbd' tls='yes' tlsHostname='stor2'><host transport='unix' socket='/run/s'/></source>",
		  "nbd:/run/s", "nbds+unix:///?socket=/run/s&tls-hostname=stor2");
	/* Without TLS there is nothing to check a name against. */
	is_called("nbd://h/web?tls-hostname=stor2",
		  "<source protocol='nbd' name='web'><host name='h' port='10809'/></source>",
		  "nbd:h:10809/web", "nbd://h:10809/web");
}

/* What QEMU has opened under TLS is so, whatever the XML does not say. */
static void certificates_come_from_qemu(void **state)
{
	struct virt_source source = { .protocol = (char *)"nbd", .host = (char *)"h:10809", .name = (char *)"web" };
	char *name = live_network_name(&source, "/etc/pki/a&b");

	(void)state;
	assert_string_equal(name, "nbds://h:10809/web?tls-certificates=/etc/pki/a%26b");
	free(name);
}

static void each_is_told_its_certificates(void **state)
{
	struct move own = to_nbd("nbds://h/web?tls-certificates=/etc/own"), found = to_nbd("nbds://h/web");
	struct move clear = to_nbd("nbd://h/web");
	char *note = live_network_note(&own.destination);

	(void)state;
	assert_non_null(strstr(note, "nbd_tls_x509_cert_dir"));
	assert_non_null(strstr(note, "with those in /etc/own"));
	free(note);
	note = live_network_note(&found.destination);
	assert_non_null(strstr(note, "with those that libnbd finds"));
	free(note);
	assert_null(live_network_note(&clear.destination));
}

/* What means something in a URI, or in XML, does not in a name. */
static void names_are_quoted(void **state)
{
	(void)state;
	is_called("nbd+unix:///a%3Fsocket=b%23%25?socket=/run/x%26y",
		  "<source protocol='nbd' name='a?socket=b#%'><host transport='unix' socket='/run/x&amp;y'/></source>",
		  "nbd:/run/x&y/a?socket=b#%", "nbd+unix:///a%3Fsocket=b%23%25?socket=/run/x%26y");
	is_called("nbd://h/it's%3C1%3E", "<source protocol='nbd' name='it&apos;s&lt;1&gt;'><host name='h' port='10809'/></source>",
		  "nbd:h:10809/it's<1>", "nbd://h:10809/it's<1>");
}

static void refuses(struct move move, const char *cause)
{
	char *element = NULL, *text = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(live_network_source(&move, 0, NULL, &element, &text, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_non_null(strstr(err.cause, cause));
	assert_null(element);
	assert_null(text);
}

static void what_qemu_cannot_reach_is_refused(void **state)
{
	struct qemu_facts qemu = { .driver = "rbd", .pool = (char *)"p", .image = (char *)"i", .user = (char *)"web" };
	struct move image = { .destination = { .kind = "rbd", .spec = (char *)"rbd:p/i", .qemu = &qemu } };

	(void)state;
	refuses(to_nbd("nbds://h/web?tls-psk-file=/etc/keys"), "shared beforehand");
	refuses(to_nbd("nbds+unix:///web?tls-psk-file=/etc/keys&socket=/run/s"), "shared beforehand");
	refuses(to_nbd("nbds+unix:///web?socket=/run/s"), "a socket has none");
	refuses(to_nbd("nbd+unix:///web"), "no name for it (nbd+unix)");
	refuses(to_nbd("nbds+vsock://2/web"), "no name for it (nbds+vsock)");
	refuses(image, "secret");
}

static void a_window_and_a_key(void **state)
{
	struct qemu_facts qemu = { .driver = "rbd", .pool = (char *)"p", .image = (char *)"i",
				   .user = (char *)"web", .conf = (char *)"/etc/ceph/x.conf" };
	struct move move = { .destination = { .kind = "rbd", .spec = (char *)"rbd:p/i", .qemu = &qemu } };
	char *element = NULL, *text = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(live_network_source(&move, 4096, "0c0ffee0", &element, &text, &err), 0);
	assert_string_equal(element, "<source protocol='rbd' name='p/i'><config file='/etc/ceph/x.conf'/>"
			    "<auth username='web'><secret type='ceph' uuid='0c0ffee0'/></auth>"
			    "<slices><slice type='storage' offset='0' size='4096'/></slices></source>");
	assert_string_equal(text, "rbd:/p/i");
	free(element);
	free(text);
	/* An image that is to be made has the job's name for it. */
	move.create = true;
	move.name = (char *)"new";
	assert_int_equal(live_network_source(&move, 0, "0c0ffee0", &element, &text, &err), 0);
	assert_string_equal(text, "rbd:/p/new");
	free(element);
	free(text);
}

static void qemu_calls(const char *file, const char *wanted)
{
	char *text = live_network_of_qemu(file);

	if (wanted && text)
		assert_string_equal(text, wanted);
	else
		assert_true(!wanted && !text);
	free(text);
}

static void qemu_has_its_own_names(void **state)
{
	(void)state;
	qemu_calls("/srv/a.img", NULL);
	qemu_calls("nbd.img", NULL);
	qemu_calls(NULL, NULL);
	qemu_calls("json:{\"driver\": \"raw\", \"file\": {\"driver\": \"file\", \"filename\": \"/a\"}}", NULL);
	qemu_calls("json:{broken", NULL);
	qemu_calls("json:{\"driver\": \"raw\", \"size\": 4096, \"file\": {\"driver\": \"nbd\", "
		   "\"server.path\": \"/run/s\", \"export\": \"web\"}}", "nbd:/run/s/web");
	qemu_calls("json:{\"driver\": \"nbd\", \"server.host\": \"::1\", \"server.port\": \"10810\", "
		   "\"export\": \"web\"}", "nbd:[::1]:10810/web");
	qemu_calls("json:{\"driver\": \"nbd\", \"host\": \"h\"}", "nbd:h:10809");
	qemu_calls("json:{\"driver\": \"raw\", \"file\": {\"driver\": \"rbd\", \"pool\": \"p\", \"image\": \"i\"}}",
		   "rbd:/p/i");
}

static void others_are_not_the_same(void **state)
{
	(void)state;
	assert_true(live_network_same("nbd:h:10809/web", "nbd:h:10809/web"));
	assert_false(live_network_same("nbd:h:10809/web", "nbd:h:10810/web"));
	assert_false(live_network_same("nbd:h:10809/web", "nbd:h:10809/web2"));
	/* Who was asked is no part of what an image is. */
	assert_true(live_network_same("rbd:mon1:6789/p/i", "rbd:/p/i"));
	assert_false(live_network_same("rbd:mon1:6789/p/i", "rbd:mon1:6789/q/i"));
	assert_false(live_network_same("rbd:/p/i", "nbd:/p/i"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exports_have_one_name),
		cmocka_unit_test(exports_under_tls),
		cmocka_unit_test(certificates_come_from_qemu),
		cmocka_unit_test(each_is_told_its_certificates),
		cmocka_unit_test(names_are_quoted),
		cmocka_unit_test(what_qemu_cannot_reach_is_refused),
		cmocka_unit_test(a_window_and_a_key),
		cmocka_unit_test(qemu_has_its_own_names),
		cmocka_unit_test(others_are_not_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
