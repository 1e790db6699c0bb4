/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of volumes and places: what each form is taken for, and what is said against it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/text.h"
#include "volumes/qemu.h"
#include "volumes/spec.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CWD "/srv/a"

enum roles {
	AS_VOLUME = 1,
	AS_PLACE = 2,
	AS_BOTH = 3,
};

/* Every parse goes through here, so that what always holds is looked at each time. */
static int parse(struct spec *spec, const char *text, enum spec_role role, const char *cwd,
		 struct err *err)
{
	int ret;

	*spec = (struct spec){ 0 };
	*err = (struct err)ERR_INIT;
	ret = spec_parse(spec, text, role, cwd, err);
	if (ret == 0) {
		assert_int_equal(err->class, ERR_NONE);
		assert_string_equal(spec->text, text);
		if (spec->kind == SPEC_SSH)
			assert_int_equal(spec->place, role == SPEC_PLACE);
		if (spec->kind == SPEC_LV) {
			assert_null(spec->path);
			assert_null(spec->remote);
			assert_non_null(spec->vg);
			return ret;
		}
		if (spec->kind > SPEC_LV) {
			assert_null(spec->path);
			assert_null(spec->vg);
			assert_non_null(spec->remote);
			return ret;
		}
		assert_null(spec->vg);
		assert_null(spec->lv);
		assert_int_equal(spec->path[0], '/');
		assert_true(strlen(spec->path) < PATH_MAX);
	} else {
		assert_int_equal(ret, -1);
		assert_int_equal(err->class, ERR_USAGE);
		assert_true(*err->cause);
		assert_null(spec->text);
		assert_null(spec->path);
	}
	return ret;
}

static const struct {
	const char *text;
	enum roles roles;
	enum spec_kind kind;
	const char *path;
	bool directory;
} taken[] = {
	{ "/srv/a/web.img", AS_BOTH, SPEC_PATH, "/srv/a/web.img", false },
	{ "./web.img", AS_BOTH, SPEC_PATH, CWD "/./web.img", false },
	{ "../b/web.img", AS_BOTH, SPEC_PATH, CWD "/../b/web.img", false },
	{ "./vg0", AS_BOTH, SPEC_PATH, CWD "/./vg0", false },
	{ "./vg0/web", AS_BOTH, SPEC_PATH, CWD "/./vg0/web", false },
	{ "/dev/sdb", AS_BOTH, SPEC_PATH, "/dev/sdb", false },
	{ "/dev/loop3", AS_BOTH, SPEC_PATH, "/dev/loop3", false },
	{ "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4", AS_BOTH, SPEC_PATH,
	  "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4", false },
	{ "/dev/vg0/web", AS_BOTH, SPEC_PATH, "/dev/vg0/web", false },
	{ "/dev/mapper/vg0-web", AS_BOTH, SPEC_PATH, "/dev/mapper/vg0-web", false },
	{ "/dev/dm-3", AS_BOTH, SPEC_PATH, "/dev/dm-3", false },

	{ "file:web.img", AS_BOTH, SPEC_FILE, CWD "/web.img", false },
	{ "file:/srv/b/x.img", AS_BOTH, SPEC_FILE, "/srv/b/x.img", false },
	{ "file:vg0/web", AS_BOTH, SPEC_FILE, CWD "/vg0/web", false },
	{ "file:file:x", AS_BOTH, SPEC_FILE, CWD "/file:x", false },
	{ "file:nbd://h/x", AS_BOTH, SPEC_FILE, CWD "/nbd://h/x", false },
	{ "file:lvm:vg0/web", AS_BOTH, SPEC_FILE, CWD "/lvm:vg0/web", false },
	{ "file:~/x", AS_BOTH, SPEC_FILE, CWD "/~/x", false },
	{ "File:x", AS_BOTH, SPEC_PATH, CWD "/File:x", false },

	/* A bare word is a volume in the working directory; as a place it would be a group. */
	{ "web.img", AS_VOLUME, SPEC_PATH, CWD "/web.img", false },
	{ "web", AS_VOLUME, SPEC_PATH, CWD "/web", false },

	/* Directories, by their end. */
	{ "/srv/b/", AS_BOTH, SPEC_PATH, "/srv/b/", true },
	{ "/srv/b//", AS_BOTH, SPEC_PATH, "/srv/b//", true },
	{ "/", AS_BOTH, SPEC_PATH, "/", true },
	{ ".", AS_BOTH, SPEC_PATH, CWD "/.", true },
	{ "..", AS_BOTH, SPEC_PATH, CWD "/..", true },
	{ "./", AS_BOTH, SPEC_PATH, CWD "/./", true },
	{ "../", AS_BOTH, SPEC_PATH, CWD "/../", true },
	{ "/srv/.", AS_BOTH, SPEC_PATH, "/srv/.", true },
	{ "/srv/..", AS_BOTH, SPEC_PATH, "/srv/..", true },
	{ "/.", AS_BOTH, SPEC_PATH, "/.", true },
	{ "/..", AS_BOTH, SPEC_PATH, "/..", true },
	{ "b/", AS_BOTH, SPEC_PATH, CWD "/b/", true },
	{ "b/c/", AS_BOTH, SPEC_PATH, CWD "/b/c/", true },
	{ "file:b/", AS_BOTH, SPEC_FILE, CWD "/b/", true },
	{ "file:.", AS_BOTH, SPEC_FILE, CWD "/.", true },
	{ "/srv/...", AS_BOTH, SPEC_PATH, "/srv/...", false },
	{ "/srv/x.", AS_BOTH, SPEC_PATH, "/srv/x.", false },
	{ "/srv/x..", AS_BOTH, SPEC_PATH, "/srv/x..", false },
	{ "/srv/.x", AS_BOTH, SPEC_PATH, "/srv/.x", false },

	/* What LVM would never call anything is a path without more ado. */
	{ "a/b/c", AS_BOTH, SPEC_PATH, CWD "/a/b/c", false },
	{ "a/..", AS_BOTH, SPEC_PATH, CWD "/a/..", true },
	{ "a/.", AS_BOTH, SPEC_PATH, CWD "/a/.", true },
	{ "my image", AS_BOTH, SPEC_PATH, CWD "/my image", false },
	{ "-x", AS_BOTH, SPEC_PATH, CWD "/-x", false },
	{ "--help", AS_BOTH, SPEC_PATH, CWD "/--help", false },
	{ "it's", AS_BOTH, SPEC_PATH, CWD "/it's", false },
	{ "\"quoted\"", AS_BOTH, SPEC_PATH, CWD "/\"quoted\"", false },
	{ "two\nlines", AS_BOTH, SPEC_PATH, CWD "/two\nlines", false },
	{ "gr\xc3\xbc\xc3\x9f" "e", AS_BOTH, SPEC_PATH, CWD "/gr\xc3\xbc\xc3\x9f" "e", false },
	{ "\xff\xfe", AS_BOTH, SPEC_PATH, CWD "/\xff\xfe", false },
	{ "\x01", AS_BOTH, SPEC_PATH, CWD "/\x01", false },
	{ "a:b", AS_BOTH, SPEC_PATH, CWD "/a:b", false },
	{ "http://h/x", AS_BOTH, SPEC_PATH, CWD "/http://h/x", false },
	{ "nbd:x", AS_BOTH, SPEC_PATH, CWD "/nbd:x", false },
	{ "~/x y", AS_BOTH, SPEC_PATH, CWD "/~/x y", false },
	{ "%s%n", AS_BOTH, SPEC_PATH, CWD "/%s%n", false },
};

static void what_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(taken); i++) {
		for (enum spec_role role = SPEC_VOLUME; role <= SPEC_PLACE; role++) {
			struct spec spec;
			struct err err;

			if (!(taken[i].roles & (role == SPEC_VOLUME ? AS_VOLUME : AS_PLACE)))
				continue;
			if (parse(&spec, taken[i].text, role, CWD, &err) < 0)
				fail_msg("\"%s\": %s", taken[i].text, err.cause);
			assert_int_equal(spec.kind, taken[i].kind);
			assert_string_equal(spec.path, taken[i].path);
			if (spec.directory != taken[i].directory)
				fail_msg("\"%s\" is%s a directory for certain", taken[i].text,
					 spec.directory ? "" : " not");
			spec_free(&spec);
			assert_null(spec.text);
		}
	}
}

static const struct {
	const char *text;
	enum roles roles;
	const char *cause, *next;
} refused[] = {
	{ "", AS_VOLUME, "the volume has an empty name", "" },
	{ "", AS_PLACE, "the place has an empty name", "" },
	{ "file:", AS_VOLUME, "the volume has an empty name", "" },
	{ "file:", AS_PLACE, "the place has an empty name", "" },

	{ "lvm:", AS_BOTH, "is no name of a logical volume", "file:lvm:" },
	{ "lvm:vg1", AS_VOLUME, "is no name of a logical volume", "file:lvm:vg1" },
	{ "lvm:vg1/", AS_BOTH, "is no name of a logical volume", "file:lvm:vg1/" },
	{ "lvm:/dev/vg1/web", AS_BOTH, "is no name of a logical volume", "file:lvm:/dev/vg1/web" },
	{ "lvm:vg1/web/x", AS_BOTH, "is no name of a logical volume", "file:lvm:vg1/web/x" },

	{ "nbd://", AS_BOTH, "names no NBD export", "file:nbd://" },
	{ "qcow2:", AS_BOTH, "names no qcow2 image", "file:qcow2:" },
	{ "rbd:", AS_BOTH, "names no Ceph RBD image", "file:rbd:" },
	{ "rbd:pool", AS_VOLUME, "is no name of an RBD image", "" },
	{ "rbd:pool/", AS_VOLUME, "is no name of an RBD image", "" },
	{ "rbd:/image", AS_BOTH, "is no name of an RBD image", "" },
	{ "rbd:pool/space/image", AS_BOTH, "is no name of an RBD image", "" },
	{ "rbd:pool/image@snapshot", AS_BOTH, "is no name of an RBD image", "" },
	{ "rbd:-c/image", AS_BOTH, "is no name of an RBD image", "" },
	{ "rbd:pool/image:mon_host=h", AS_BOTH, "no such option: mon_host", "" },
	{ "rbd:pool/image:key=AQ", AS_BOTH, "no such option", "" },
	{ "rbd:pool/image:id=", AS_BOTH, "no such option", "" },
	{ "rbd:pool/image:", AS_BOTH, "no such option", "" },
	{ "rbd:pool/image:id=a:id=b", AS_BOTH, "an option twice", "" },
	{ "iscsi://h/iqn.2003-01.org:t", AS_BOTH, "is no name of a LUN", "file:iscsi://h/iqn.2003-01.org:t" },
	{ "iscsi://h/iqn.2003-01.org:t/1?x=y", AS_BOTH, "no such option", "" },
	{ "ssh://", AS_BOTH, "names no volume of another host", "file:ssh://" },
	{ "ssh://root@host", AS_BOTH, "no volume there", "file:ssh" },
	{ "ssh://-oProxyCommand=x/vg0/web", AS_BOTH, "no host's name", "file:ssh" },
	{ "ssh://h/nbd://x/y", AS_BOTH, "can be named", "file:ssh" },
};

/* Names of volumes elsewhere, and what they are in any directory. */
static const struct {
	const char *text;
	enum spec_kind kind;
	const char *what;
	const char *remote;		/* NULL: the text */
} elsewhere[] = {
	{ "nbd://h/export", SPEC_NBD, "an NBD export", NULL },
	{ "nbds://user@h:10810/export", SPEC_NBD, "an NBD export", NULL },
	{ "nbd+unix:///export?socket=/run/x", SPEC_NBD, "an NBD export", NULL },
	{ "nbd+unix:///export?socket=%2Frun%2Fx", SPEC_NBD, "an NBD export", NULL },
	{ "nbd+unix:///?socket=x", SPEC_NBD, "an NBD export", "nbd+unix:///?socket=" CWD "/x" },
	{ "nbds+unix:///?tls-psk-file=k;socket=a/b&x=y", SPEC_NBD, "an NBD export",
	  "nbds+unix:///?tls-psk-file=" CWD "/k;socket=" CWD "/a/b&x=y" },
	{ "nbds://h?tls-certificates=pki", SPEC_NBD, "an NBD export",
	  "nbds://h?tls-certificates=" CWD "/pki" },
	{ "nbd://h/?socket=", SPEC_NBD, "an NBD export", NULL },
	{ "nbd://h/?&&;", SPEC_NBD, "an NBD export", NULL },
	{ "nbd+vsock://2/x", SPEC_NBD, "an NBD export", NULL },
	{ "iscsi://portal:3260/iqn.2003-01.org:t/0", SPEC_ISCSI, "an iSCSI LUN", NULL },
	{ "qcow2:/srv/x.qcow2", SPEC_QEMU, "a qcow2 image", NULL },
	{ "qcow2:x", SPEC_QEMU, "a qcow2 image", "qcow2:" CWD "/x" },
	{ "qcow2:b/", SPEC_QEMU, "a qcow2 image", "qcow2:" CWD "/b/" },
	{ "vmdk:x", SPEC_QEMU, "a VMDK image", "vmdk:" CWD "/x" },
	{ "vhdx:x", SPEC_QEMU, "a VHDX image", "vhdx:" CWD "/x" },
	{ "vdi:x", SPEC_QEMU, "a VDI image", "vdi:" CWD "/x" },
	{ "rbd:pool/image", SPEC_QEMU, "a Ceph RBD image", NULL },
	{ "ssh://root@host/vg0/web", SPEC_SSH, "a volume of another host", NULL },
};

static void volumes_elsewhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(elsewhere); i++) {
		for (enum spec_role role = SPEC_VOLUME; role <= SPEC_PLACE; role++) {
			struct spec spec, again;
			struct err err;

			assert_int_equal(parse(&spec, elsewhere[i].text, role, CWD, &err), 0);
			assert_int_equal(spec.kind, elsewhere[i].kind);
			assert_string_equal(spec.remote, elsewhere[i].remote ?: elsewhere[i].text);
			assert_string_equal(spec_noun(spec.text), elsewhere[i].what);
			/* What is journalled means itself, wherever it is read. */
			assert_int_equal(parse(&again, spec.remote, role, "/elsewhere", &err), 0);
			assert_string_equal(again.remote, spec.remote);
			spec_free(&again);
			spec_free(&spec);
		}
	}
}

/* Directories with signs that mean something in a URI. */
static void odd_directories(void **state)
{
	struct spec spec;
	struct err err;

	(void)state;
	assert_int_equal(parse(&spec, "nbd+unix:///?socket=s", SPEC_VOLUME, "/a b&c?d#e", &err), 0);
	assert_string_equal(spec.remote, "nbd+unix:///?socket=/a%20b%26c%3Fd%23e/s");
	spec_free(&spec);
}

/* A password is refused, and shown to nobody. */
static void passwords(void **state)
{
	static const char *const texts[] = {
		"nbds://user:geheim@h/x", "nbd://:geheim@h", "ssh://root:geheim@h/vg0/web",
		"iscsi://u:geheim@h/iqn/0",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct spec spec;
		struct err err;

		assert_int_equal(parse(&spec, texts[i], SPEC_VOLUME, CWD, &err), -1);
		assert_non_null(strstr(err.cause, "password"));
		assert_null(strstr(err.object, "geheim"));
		assert_null(strstr(err.cause, "geheim"));
		assert_null(strstr(err.next, "geheim"));
	}
}

/* What QEMU opens: the path of an image file, or what is known of an RBD image or a LUN. */
static const struct {
	const char *text;
	enum roles roles;
	const char *driver, *path;
	bool directory;
	const char *pool, *image, *conf, *user, *portal, *chap_file;
} of_qemu[] = {
	{ "qcow2:/srv/x.qcow2", AS_BOTH, .driver = "qcow2", .path = "/srv/x.qcow2" },
	{ "qcow2:x.qcow2", AS_BOTH, .driver = "qcow2", .path = CWD "/x.qcow2" },
	{ "qcow2:a:b", AS_BOTH, .driver = "qcow2", .path = CWD "/a:b" },
	{ "qcow2:/srv/b/", AS_BOTH, .driver = "qcow2", .path = "/srv/b/", .directory = true },
	{ "qcow2:.", AS_BOTH, .driver = "qcow2", .path = CWD "/.", .directory = true },
	{ "vmdk:x", AS_BOTH, .driver = "vmdk", .path = CWD "/x" },
	{ "vhdx:x", AS_BOTH, .driver = "vhdx", .path = CWD "/x" },
	{ "vdi:x", AS_BOTH, .driver = "vdi", .path = CWD "/x" },
	{ "rbd:pool", AS_PLACE, .driver = "rbd", .pool = "pool" },
	{ "rbd:pool/", AS_PLACE, .driver = "rbd", .pool = "pool" },
	{ "rbd:pool:id=volmig", AS_PLACE, .driver = "rbd", .pool = "pool", .user = "volmig" },
	{ "rbd:pool/web", AS_BOTH, .driver = "rbd", .pool = "pool", .image = "web" },
	{ "rbd:pool/web:conf=/etc/ceph/a.conf:id=b", AS_BOTH, .driver = "rbd", .pool = "pool", .image = "web",
	  .conf = "/etc/ceph/a.conf", .user = "b" },
	{ "rbd:pool/web:id=b:conf=a.conf", AS_BOTH, .driver = "rbd", .pool = "pool", .image = "web",
	  .conf = CWD "/a.conf", .user = "b" },
	{ "iscsi://h/iqn.2003-01.org:t/1", AS_BOTH, .driver = "iscsi", .portal = "h:3260" },
	{ "iscsi://h:1/iqn.2003-01.org:t/1?chap-file=c", AS_BOTH, .driver = "iscsi", .portal = "h:1",
	  .chap_file = CWD "/c" },
};

static void what_qemu_opens(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(of_qemu); i++) {
		for (enum spec_role role = SPEC_VOLUME; role <= SPEC_PLACE; role++) {
			struct qemu_name name;
			struct spec spec;
			struct err err;

			if (!(of_qemu[i].roles & (role == SPEC_VOLUME ? AS_VOLUME : AS_PLACE)))
				continue;
			assert_int_equal(parse(&spec, of_qemu[i].text, role, CWD, &err), 0);
			assert_int_equal(spec.directory, of_qemu[i].directory);
			assert_int_equal(qemu_name_parse(&name, spec.remote, role, CWD, &err), 0);
			assert_string_equal(name.driver, of_qemu[i].driver);
			assert_string_equal(name.path ?: "none", of_qemu[i].path ?: "none");
			assert_string_equal(name.pool ?: "none", of_qemu[i].pool ?: "none");
			assert_string_equal(name.image ?: "none", of_qemu[i].image ?: "none");
			assert_string_equal(name.conf ?: "none", of_qemu[i].conf ?: "none");
			assert_string_equal(name.user ?: "none", of_qemu[i].user ?: "none");
			assert_string_equal(name.portal ?: "none", of_qemu[i].portal ?: "none");
			assert_string_equal(name.chap_file ?: "none", of_qemu[i].chap_file ?: "none");
			qemu_name_free(&name);
			spec_free(&spec);
		}
	}
}

/* Names of logical volumes and, as places, of groups. */
static const struct {
	const char *text;
	enum roles roles;
	const char *vg, *lv;
} of_lvm[] = {
	{ "lvm:vg0/web", AS_BOTH, "vg0", "web" },
	{ "lvm:vg1", AS_PLACE, "vg1", NULL },
	{ "vg0/web", AS_BOTH, "vg0", "web" },
	{ "vg1/pool0", AS_BOTH, "vg1", "pool0" },
	{ "vg.0_a+b-c/web-1", AS_BOTH, "vg.0_a+b-c", "web-1" },
	{ "images/web.img", AS_BOTH, "images", "web.img" },
	{ "vg1", AS_PLACE, "vg1", NULL },
	{ "web.img", AS_PLACE, "web.img", NULL },
};

static void logical_volumes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(of_lvm); i++) {
		for (enum spec_role role = SPEC_VOLUME; role <= SPEC_PLACE; role++) {
			struct spec spec;
			struct err err;

			if (!(of_lvm[i].roles & (role == SPEC_VOLUME ? AS_VOLUME : AS_PLACE)))
				continue;
			assert_int_equal(parse(&spec, of_lvm[i].text, role, CWD, &err), 0);
			assert_int_equal(spec.kind, SPEC_LV);
			assert_string_equal(spec.vg, of_lvm[i].vg);
			assert_string_equal(spec.lv ?: "none", of_lvm[i].lv ?: "none");
			spec_free(&spec);
		}
	}
}

/* What it is told apart as, and that the advice works. */
static void what_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		for (enum spec_role role = SPEC_VOLUME; role <= SPEC_PLACE; role++) {
			struct spec spec;
			struct err err, none;

			if (!(refused[i].roles & (role == SPEC_VOLUME ? AS_VOLUME : AS_PLACE)))
				continue;
			if (parse(&spec, refused[i].text, role, CWD, &err) == 0)
				fail_msg("\"%s\" is taken for %s", refused[i].text, spec.path);
			assert_null(strstr(err.object, "key="));
			assert_non_null(strstr(err.cause, refused[i].cause));
			assert_non_null(strstr(err.next, refused[i].next));
			if (!*refused[i].next)
				continue;
			assert_string_equal(err.object, refused[i].text);
			assert_int_equal(parse(&spec, strstr(err.next, "write ") + 6, role, CWD, &none), 0);
			spec_free(&spec);
		}
	}
}

/* The longest path there is, and one byte more. */
static void long_names(void **state)
{
	static const struct {
		const char *begin;
		size_t room;		/* so much of PATH_MAX - 1 is taken by what is in front */
	} forms[] = {
		{ "/", 0 }, { "./", sizeof(CWD "/") - 1 }, { "x:", sizeof(CWD "/") - 1 }, { "file:/", 0 },
		{ "file:", sizeof(CWD "/") - 1 },
	};
	char text[PATH_MAX + 64];

	(void)state;
	for (size_t i = 0; i < COUNT(forms); i++) {
		size_t prefix = strncmp(forms[i].begin, "file:", 5) ? 0 : 5;
		size_t longest = PATH_MAX - 1 - forms[i].room + prefix;

		for (size_t length = longest; length <= longest + 1; length++) {
			struct spec spec;
			struct err err;
			int ret;

			memset(text, 'n', length);
			for (size_t at = 200; at < length; at += 200)
				text[at] = '/';
			text[length - 1] = 'n';
			memcpy(text, forms[i].begin, strlen(forms[i].begin));
			text[length] = '\0';
			ret = parse(&spec, text, SPEC_PLACE, CWD, &err);
			if (ret != (length == longest ? 0 : -1))
				fail_msg("%s with %zu bytes gives %d", forms[i].begin, length, ret);
			if (ret == 0) {
				assert_int_equal(strlen(spec.path), PATH_MAX - 1);
				spec_free(&spec);
			} else {
				assert_non_null(strstr(err.cause, "too long"));
			}
		}
	}
}

/* A working directory of any kind; the root gives two slashes, which is one. */
static void working_directories(void **state)
{
	struct spec spec;
	struct err err;

	(void)state;
	assert_int_equal(parse(&spec, "./x", SPEC_PLACE, "/", &err), 0);
	assert_string_equal(spec.path, "//./x");
	spec_free(&spec);
	assert_int_equal(parse(&spec, "x y", SPEC_PLACE, "/with space/\xff", &err), 0);
	assert_string_equal(spec.path, "/with space/\xff/x y");
	spec_free(&spec);
	/* An absolute name does not care for it. */
	assert_int_equal(parse(&spec, "/x", SPEC_PLACE, "/with space", &err), 0);
	assert_string_equal(spec.path, "/x");
	spec_free(&spec);
	spec_free(&spec);
}

/* Each byte in each place of a two-part name: read, and an LVM name only by LVM's letters. */
static void every_byte(void **state)
{
	static const char lvm[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-";

	(void)state;
	for (int byte = 1; byte < 256; byte++) {
		for (int at = 0; at < 5; at++) {
			char text[] = "ab/cd";
			bool lvm_form;
			struct spec spec;
			struct err err;
			int ret;

			text[at] = (char)byte;
			/* A volume without a slash is a file, whatever its letters. */
			lvm_form = strchr(lvm, byte) && strchr(text, '/') &&
				   text[0] != '-' && text[3] != '-' && strncmp(text, "./", 2);
			if (at == 2)
				lvm_form = byte == '/';
			ret = parse(&spec, text, SPEC_VOLUME, CWD, &err);
			if (ret < 0 || (spec.kind == SPEC_LV) != lvm_form)
				fail_msg("\"%s\" gives %d", text, ret);
			spec_free(&spec);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_taken),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(logical_volumes),
		cmocka_unit_test(what_qemu_opens),
		cmocka_unit_test(volumes_elsewhere),
		cmocka_unit_test(odd_directories),
		cmocka_unit_test(passwords),
		cmocka_unit_test(long_names),
		cmocka_unit_test(working_directories),
		cmocka_unit_test(every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
