# SPDX-License-Identifier: GPL-2.0-or-later
# Builds, tests and installs volmig: one file for all directories, works without configure.
#
# Knobs, on the command line or in config.mak (which ./configure writes):
#
#	V=1			show the commands
#	SAN=1			address and undefined-behaviour sanitizers
#	INJECT=1		fault hooks for the tests (core/support/inject.h)
#	WERROR=1		a warning is an error
#	WITHOUT_LIBVIRT=1	leave guests out; such a program says so when asked for one
#	WITHOUT_NBD=1		leave NBD exports out, and what stands on them
#	WITHOUT_ZSTD=1		nothing is compressed on its way to another host
#	WITHOUT_RBD=1		leave Ceph RBD images out
#	WITHOUT_SYSTEMD=1	no fields for systemd's journal, only priorities
#	CC=clang		the compiler; CFLAGS, CPPFLAGS, LDFLAGS as ever
#	DESTDIR= prefix=	where `make install' puts things (prefix: /usr/local)
#	T="FILE..."		check-*: run only these test scripts or programs
#	JOBS=N			check-*: so many tests at a time
#	PROVE_FLAGS=-v		check-*: more options for prove
#	TEST_SECONDS=N		check-*: a test that takes longer has failed
#	FUZZ_SECONDS=N		fuzz: how long for each target
#	BENCH_RUNS= BENCH_DIR=	bench: see tests/bench
#
# Targets: `make help' lists them.
#
# Every compiler and every combination of SAN and INJECT has an object
# directory of its own, build/CC/VARIANT, so that `make check' builds what it
# needs of each in one go and nothing is ever mixed.  ./volmig is a link to the
# variant that was asked for last.

VERSION = 0.1.0

CC = cc
AR = ar
CFLAGS = -O2 -g
prefix = /usr/local
exec_prefix = $(prefix)
bindir = $(exec_prefix)/bin
datarootdir = $(prefix)/share
datadir = $(datarootdir)
mandir = $(datarootdir)/man
docdir = $(datarootdir)/doc/volmig
unitdir = $(prefix)/lib/systemd/system
INSTALL = install

# What configure finds out; this is right wherever the libraries are in the default places.
LIB_CFLAGS =
LIBS = -lpopt -luuid -luring -ljansson -lxxhash -lblkid -ldevmapper -lexpat $(if $(WITHOUT_ZSTD),,-lzstd) -ldl -pthread

-include config.mak

JOBS = 1
FUZZ_SECONDS = 60
TEST_SECONDS = 600

# -Wconversion includes -Wsign-conversion in C, and it stays: off_t and ssize_t
# are signed, sizes are uint64_t, and a silent change between the two is just
# what must not happen to an offset on somebody's disk.
WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla $(if $(WERROR),-Werror)
BASE_CFLAGS = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Icore \
	-DVOLMIG_VERSION='"$(VERSION)"' $(WARNINGS) $(LIB_CFLAGS) \
	$(if $(WITHOUT_LIBVIRT),-DVOLMIG_WITHOUT_LIBVIRT) \
	$(if $(WITHOUT_NBD),-DVOLMIG_WITHOUT_NBD) \
	$(if $(WITHOUT_ZSTD),-DVOLMIG_WITHOUT_ZSTD) \
	$(if $(WITHOUT_RBD),-DVOLMIG_WITHOUT_RBD) \
	$(if $(WITHOUT_SYSTEMD),-DVOLMIG_WITHOUT_SYSTEMD)
# glibc warns about _FORTIFY_SOURCE without optimization.
HARDEN = -fstack-protector-strong \
	$(if $(filter -O -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# All symbols at the start: the children that a batch forks find them resolved.
RELRO = -Wl,-z,relro,-z,now
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

FLAGS_plain = $(HARDEN)
FLAGS_inject = $(HARDEN) -DVOLMIG_INJECT
FLAGS_san = $(SANITIZE)
FLAGS_san-inject = $(SANITIZE) -DVOLMIG_INJECT
# Fuzzers are clang's, whatever else is compiled with.
FLAGS_fuzz = $(SANITIZE) -DVOLMIG_INJECT -fsanitize=fuzzer-no-link
VARIANTS = plain inject san san-inject fuzz
variant := $(if $(SAN),$(if $(INJECT),san-inject,san),$(if $(INJECT),inject,plain))

CC_plain = $(CC)
CC_inject = $(CC)
CC_san = $(CC)
CC_san-inject = $(CC)
CC_fuzz = clang

# Where this compiler's objects go.
empty :=
space := $(empty) $(empty)
B := build/$(subst /,_,$(subst $(space),_,$(strip $(CC))))

core_sources := $(sort $(wildcard core/*.c core/*/*.c))
cmd_sources := $(sort $(wildcard cmd/*.c))
unit_sources := $(sort $(wildcard tests/unit/test_*.c))
# What else lies in tests/unit helps all of the tests there.
unit_helpers := $(filter-out $(unit_sources),$(sort $(wildcard tests/unit/*.c)))
fuzz_sources := $(sort $(wildcard tests/fuzz/fuzz_*.c))
fuzz_helpers := $(filter-out $(fuzz_sources),$(sort $(wildcard tests/fuzz/*.c)))
units := $(notdir $(unit_sources:.c=))
fuzzers := $(notdir $(fuzz_sources:.c=))
man_pages := $(sort $(wildcard man/*.[578]))
units_systemd := $(sort $(wildcard packaging/volmig-*@.*))
examples := $(sort $(wildcard packaging/examples/*))

ifneq ($(V),1)
Q = @
say = @printf '  %-7s %s\n' '$1' '$2'
endif

all: volmig

# A hard link, so that ./volmig is a file in its own right; looked at each time
# because SAN=1 after a plain build must change it although both are up to date.
volmig: $(B)/$(variant)/volmig FORCE
	$(Q)[ $@ -ef $< ] || ln -f $< $@ 2>/dev/null || cp $< $@

# All rules of one variant: $1 is its name.
define variant_rules
$1_flags = $$(BASE_CFLAGS) $$(CPPFLAGS) $$(CFLAGS) $$(FLAGS_$1)

# Holds what was compiled with; changes, and so rebuilds, only when that does.
$$(B)/$1/flags: FORCE
	@mkdir -p $$(@D)
	@now='$$(subst ','\'',$$(CC_$1) $$($1_flags) $$(RELRO) $$(LDFLAGS) $$(LIBS))'; \
	printf '%s\n' "$$$$now" | cmp -s - $$@ || printf '%s\n' "$$$$now" >$$@

$$(B)/$1/%.o: %.c $$(B)/$1/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$1) $$($1_flags) -MMD -MP -c -o $$@ $$<

$$(B)/$1/libvolmig.a: $$(core_sources:%.c=$$(B)/$1/%.o)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^

$$(B)/$1/volmig: $$(cmd_sources:%.c=$$(B)/$1/%.o) $$(B)/$1/libvolmig.a
	$$(call say,LINK,$$@)
	$$(Q)$$(CC_$1) $$($1_flags) $$(RELRO) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)

$$(units:%=$$(B)/$1/%): $$(B)/$1/%: $$(B)/$1/tests/unit/%.o \
		$$(unit_helpers:%.c=$$(B)/$1/%.o) $$(B)/$1/libvolmig.a
	$$(call say,LINK,$$@)
	$$(Q)$$(CC_$1) $$($1_flags) $$(RELRO) $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LIBS)

# libFuzzer brings its own main(); everywhere else corpus.c has one.
$$(fuzzers:%=$$(B)/$1/%): $$(B)/$1/%: $$(B)/$1/tests/fuzz/%.o \
		$$(patsubst %.c,$$(B)/$1/%.o,$$(filter-out \
			$$(if $$(filter fuzz,$1),tests/fuzz/corpus.c),$$(fuzz_helpers))) \
		$$(B)/$1/libvolmig.a
	$$(call say,LINK,$$@)
	$$(Q)$$(CC_$1) $$($1_flags) $$(if $$(filter fuzz,$1),-fsanitize=fuzzer) \
		$$(RELRO) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach v,$(VARIANTS),$(eval $(call variant_rules,$v)))

# The objects are worth keeping although they are made by a chain of rules.
.SECONDARY:
.DELETE_ON_ERROR:

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# Everything that there is to be built.
programs: volmig $(foreach v,plain inject san san-inject,$(B)/$v/volmig) \
	$(foreach v,inject san-inject,$(units:%=$(B)/$v/%) $(fuzzers:%=$(B)/$v/%))

# Tests.
#
# A sanitizer's report ends a program with a status of its own, so that no
# script can take it for a refusal.
export ASAN_OPTIONS = exitcode=99:detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS = exitcode=99:print_stacktrace=1
export CMOCKA_MESSAGE_OUTPUT = TAP
VALGRIND = valgrind -q --error-exitcode=99 --leak-check=full \
	--show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect

CHECKS_QUICK = unit cli
CHECKS = unit unit-san unit-valgrind cli cli-san net block lvm live fuzz

# $1 is what to put in front of each test, $2 the tests, $3 how many at a time.
# What hangs has failed.
prove = $(if $(strip $2),prove -j $(or $3,$(JOBS)) $(PROVE_FLAGS) --exec 'timeout -k 10 $(TEST_SECONDS) $1' $2,echo 'none')
only = $(if $(T),$(foreach t,$1,$(if $(filter $(notdir $(basename $(T))),$(notdir $(basename $t))),$t)),$1)

# What scripts find in their environment: the source directory, the program,
# and the one with the fault hooks.
script_env = TOP=$(CURDIR) VOLMIG=$(CURDIR)/$(B)/$1/volmig \
	VOLMIG_INJECT_BIN=$(CURDIR)/$(B)/$2/volmig

# The units work in here: a real file system, where /tmp may be memory.
unit_env = mkdir -p $(B)/scratch && TMPDIR=$(CURDIR)/$(B)/scratch

cli_scripts := $(sort $(wildcard tests/cli/*.sh))
net_scripts := $(sort $(wildcard tests/net/*.sh))
block_scripts := $(sort $(wildcard tests/block/*.sh))
lvm_scripts := $(sort $(wildcard tests/lvm/*.sh))
live_scripts := $(filter-out tests/live/lib.sh,$(sort $(wildcard tests/live/*.sh)))

# For tests with libvirt: the guest's one program, and who reads what it wrote.
# The kernel is fetched once; it is Debian's, and nothing of ours.
live_tools = $(B)/live/verify $(B)/live/initrd.gz
live_env = LIVE_TOOLS=$(CURDIR)/$(B)/live

$(B)/live/guest_init: LIVE_FLAGS = -static
$(B)/live/guest_init $(B)/live/verify: $(B)/live/%: tests/live/%.c tests/live/record.h
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(LIVE_FLAGS) -o $@ $<

$(B)/live/initrd.gz: $(B)/live/guest_init tests/live/make-initrd build/guest/fetched
	$(call say,PACK,$@)
	$(Q)tests/live/make-initrd build/guest $< $@

build/guest/fetched: tests/live/build-guest
	$(call say,FETCH,build/guest)
	$(Q)tests/live/build-guest build/guest
	$(Q)[ ! -e build/guest/vmlinuz ] || touch $@

check:
	@echo '== packages that building and testing need'
	@tests/install-packages build check
	+@$(MAKE) --no-print-directory check-all RUN='$(CHECKS)'

check-quick:
	+@$(MAKE) --no-print-directory check-all RUN='$(CHECKS_QUICK)'

# Builds with all processors, then runs group after group, and all of them even
# if one fails.
check-all:
	+@echo '== building what these need: $(RUN)'; \
	$(MAKE) --no-print-directory -j$$(nproc) $(RUN:%=programs-%) || exit 1; \
	failed=; \
	for group in $(RUN); do \
		$(MAKE) --no-print-directory -j1 check-$$group || failed="$$failed $$group"; \
	done; \
	echo; \
	if [ -n "$$failed" ]; then echo "check: FAILED:$$failed"; exit 1; fi; \
	echo 'check: all passed: $(RUN)'

programs-unit programs-unit-valgrind: $(call only,$(units:%=$(B)/inject/%))
programs-unit-san: $(call only,$(units:%=$(B)/san-inject/%))
programs-cli programs-net programs-block programs-lvm: $(B)/plain/volmig $(B)/inject/volmig
programs-block: $(B)/inject/test_dm $(B)/inject/test_backing
programs-live: $(B)/plain/volmig $(B)/inject/volmig $(live_tools)
programs-cli-san: $(B)/san/volmig $(B)/san-inject/volmig
programs-fuzz: $(call only,$(fuzzers:%=$(B)/san-inject/%))

check-unit: programs-unit
	@echo; echo '== units'
	$(Q)$(unit_env) $(call prove,env,$(call only,$(units:%=$(B)/inject/%)))

check-unit-san: programs-unit-san
	@echo; echo '== units, with address and undefined-behaviour sanitizers'
	$(Q)$(unit_env) $(call prove,env,$(call only,$(units:%=$(B)/san-inject/%)))

check-unit-valgrind: programs-unit-valgrind
	@echo; echo '== units, under valgrind'
	$(Q)$(unit_env) UNDER_VALGRIND=1 $(call prove,$(VALGRIND),$(call only,$(units:%=$(B)/inject/%)),$$(nproc))

check-cli: programs-cli
	@echo; echo '== command line'
	$(Q)$(call script_env,plain,inject) $(call prove,env,$(call only,$(cli_scripts)))

check-cli-san: programs-cli-san
	@echo; echo '== command line, with address and undefined-behaviour sanitizers'
	$(Q)$(call script_env,san,san-inject) $(call prove,env,$(call only,$(cli_scripts)))

check-net: programs-net
	@echo; echo '== volumes on other machines, with servers of their own'
	$(Q)$(call script_env,plain,inject) $(call prove,env,$(call only,$(net_scripts)))

check-block: programs-block
	@echo; echo '== block devices, in User-Mode Linux'
	$(Q)$(call script_env,plain,inject) $(call prove,env,$(call only,$(block_scripts)))

check-lvm: programs-lvm
	@echo; echo '== logical volumes, in User-Mode Linux'
	$(Q)$(call script_env,plain,inject) $(call prove,env,$(call only,$(lvm_scripts)))

check-live: programs-live
	@echo; echo '== guests, with a libvirtd of their own'
	$(Q)$(call script_env,plain,inject) $(live_env) $(call prove,env,$(call only,$(live_scripts)))

# Longer than anybody wants to wait for each time: 100 swaps, 20 kills of libvirtd at the pivot.
check-live-long: programs-live
	$(Q)LIVE_SWAPS=100 LIVE_PIVOT_KILLS=20 $(call script_env,plain,inject) $(live_env) \
		$(call prove,env,tests/live/swapped-back-and-forth-a-guest-loses-nothing.sh \
		tests/live/libvirtd-killed-at-the-pivot-never-costs-a-disk.sh)

# All of what check-lvm does a little of; for hours.
crash_script = tests/lvm/a-crash-at-any-record-of-any-move-leaves-one-whole-volume.sh
check-lvm-crash: programs-lvm
	$(Q)$(call script_env,plain,inject) CRASH=full $(crash_script)
	$(Q)$(call script_env,plain,inject) KILL=full tests/lvm/killed-at-every-record-a-move-of-volumes-still-ends-well.sh
	$(Q)$(call script_env,plain,inject) STUCK=full \
		tests/lvm/an-lvm-command-stuck-in-a-change-leaves-all-to-be-gone-on-with.sh

check-fuzz: programs-fuzz
	@echo; echo '== fuzz targets over their corpus, with sanitizers'
	$(Q)$(call prove,env,$(call only,$(fuzzers:%=$(B)/san-inject/%)))

# With libFuzzer: new finds go to build/fuzz, the corpus itself is not touched.
fuzz:
	@tests/install-packages build check
	+@if echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | \
		$(CC_fuzz) -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null; then \
		$(MAKE) --no-print-directory fuzz-run; \
	else \
		echo 'no libFuzzer here: running the corpus only'; \
		$(MAKE) --no-print-directory check-fuzz; \
	fi

fuzz-run: $(fuzzers:%=run-%)

$(fuzzers:%=run-%): run-%: $(B)/fuzz/%
	@echo "== $*: $(FUZZ_SECONDS) seconds"
	@mkdir -p build/fuzz/$*
	$(Q)$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=build/fuzz/ \
		build/fuzz/$* tests/fuzz/corpus-$(*:fuzz_%=%) >build/fuzz/$*.log 2>&1 || \
		{ cat build/fuzz/$*.log; exit 1; }
	@grep '^stat::number_of_exec' build/fuzz/$*.log

bench:
	@tests/install-packages build bench
	+@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plain/volmig
	@VOLMIG=$(CURDIR)/$(B)/plain/volmig tests/bench

bench-batch:
	@tests/install-packages build bench
	+@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plain/volmig
	@VOLMIG=$(CURDIR)/$(B)/plain/volmig tests/bench-batch

bench-live: programs-live
	@LIVE_TOOLS=$(CURDIR)/$(B)/live VOLMIG=$(CURDIR)/$(B)/plain/volmig tests/bench-live

bench-images:
	@tests/install-packages build check bench
	+@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plain/volmig
	@VOLMIG=$(CURDIR)/$(B)/plain/volmig tests/bench-images

bench-lvm: programs-lvm
	@VOLMIG=$(CURDIR)/$(B)/plain/volmig tests/bench-lvm

# Host to host over ssh on loopback, as root.
bench-net:
	@tests/install-packages build check
	+@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plain/volmig
	@VOLMIG=$(CURDIR)/$(B)/plain/volmig tests/bench-net

demo:
	@tests/install-packages build demo
	@echo '# Building volmig (make)'
	+@$(MAKE) --no-print-directory -j$$(nproc) volmig
	+@[ "$$(id -u)" != 0 ] || $(MAKE) --no-print-directory $(live_tools)
	@tests/demo

# Only tools that are there are run, and the others are named; .ci/run installs them all.
shell_scripts = $(shell grep -lIE '^\#! *(/usr)?/bin/(env )?(ba)?sh' .ci/* tests/* tests/*/* packaging/* \
	2>/dev/null) $(wildcard bash-completion/*)

# Said of what is meant just so: A && B || C, '$x' for another program, a
# function that is called without arguments.
SHELL_IDIOMS = SC2015,SC2016,SC2119

lint:
	@status=0; \
	have() { \
		command -v "$$1" >/dev/null && return; \
		echo "lint: no $$1 here, left out (tests/install-packages lint)"; \
		return 1; \
	}; \
	run() { \
		echo "  LINT    $$*" | cut -c -78; \
		out=$$("$$@" 2>&1) && [ -z "$$out" ] && return; \
		printf '%s\n' "$$out"; \
		status=1; \
	}; \
	if have shellcheck; then run shellcheck -x -P tests -e $(SHELL_IDIOMS) $(shell_scripts); fi; \
	for page in $(man_pages); do \
		if have mandoc; then run mandoc -T lint -W warning $$page; fi; \
		if have groff; then run groff -ww -mandoc -Tutf8 -z $$page; fi; \
	done; \
	if have cppcheck; then \
		run cppcheck -q --error-exitcode=1 --std=c11 --language=c --inline-suppr \
			--enable=warning,portability,performance -j $$(nproc) -Icore \
			-D_GNU_SOURCE -DVOLMIG_VERSION='""' -UVOLMIG_INJECT \
			'-Djson_array_foreach(a,i,v)=while ((i = 0, v = json_array_get(a, i)))' \
			$(cmd_sources) $(core_sources); \
	fi; \
	exit $$status

install: volmig
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(mandir)/man5 $(DESTDIR)$(mandir)/man7 $(DESTDIR)$(mandir)/man8 \
		$(DESTDIR)$(datadir)/bash-completion/completions
	$(INSTALL) -m 755 volmig $(DESTDIR)$(bindir)/volmig
	$(INSTALL) -m 644 $(filter %.5,$(man_pages)) $(DESTDIR)$(mandir)/man5
	$(INSTALL) -m 644 $(filter %.7,$(man_pages)) $(DESTDIR)$(mandir)/man7
	$(INSTALL) -m 644 $(filter %.8,$(man_pages)) $(DESTDIR)$(mandir)/man8
	$(INSTALL) -m 644 bash-completion/volmig \
		$(DESTDIR)$(datadir)/bash-completion/completions/volmig
	$(INSTALL) -d $(DESTDIR)$(unitdir) $(DESTDIR)$(docdir)/examples
	for unit in $(notdir $(units_systemd)); do \
		sed 's,@bindir@,$(bindir),' packaging/$$unit >$(DESTDIR)$(unitdir)/$$unit && \
		chmod 644 $(DESTDIR)$(unitdir)/$$unit || exit 1; \
	done
	$(INSTALL) -m 644 $(examples) $(DESTDIR)$(docdir)/examples

# Removes what install put there, and leaves the directories: they may be anybody's.
uninstall:
	rm -f $(DESTDIR)$(bindir)/volmig $(foreach p,$(man_pages),$(DESTDIR)$(mandir)/man$(patsubst .%,%,$(suffix $p))/$(notdir $p)) \
		$(DESTDIR)$(datadir)/bash-completion/completions/volmig \
		$(units_systemd:packaging/%=$(DESTDIR)$(unitdir)/%) \
		$(examples:packaging/%=$(DESTDIR)$(docdir)/%)

# Packages, of what a tarball of this tree holds.  Their files come from packaging/, so that the
# top of the tree stays what it is; version and libraries are written down elsewhere already.
deb: dist
	@tests/install-packages build package
	@packaging/make-deb $(dist_name)

rpm: dist
	@tests/install-packages build package
	@packaging/make-rpm $(dist_name)

# The same tree gives the same bytes: sorted, one owner, one time.  Also works in
# an unpacked tarball, which is no git checkout.
dist_name = volmig-$(VERSION)
dist: configure
	@set -e; \
	mkdir -p build; \
	if [ -e .git ]; then \
		epoch=$$(git log -1 --format=%ct); \
		git ls-files >build/dist.list; \
		echo configure >>build/dist.list; \
	else \
		epoch=$$(stat -c %Y Makefile); \
		find * .[!.]* \( -path build -o -path autom4te.cache \) -prune -o -type f \
			! -path config.mak ! -path config.log ! -path config.status \
			! -path volmig ! -path 'volmig-*.tar.gz' -print >build/dist.list; \
	fi; \
	LC_ALL=C sort -o build/dist.list build/dist.list; \
	tar -c --no-recursion -T build/dist.list -f build/dist.tar \
		--transform 'flags=r;s,^,$(dist_name)/,' --format=ustar \
		--mtime=@$${SOURCE_DATE_EPOCH:-$$epoch} --mode=u=rwX,go=rX \
		--owner=0 --group=0 --numeric-owner; \
	gzip -9nc build/dist.tar >$(dist_name).tar.gz; \
	rm build/dist.list build/dist.tar; \
	echo '$(dist_name).tar.gz'

configure: configure.ac
	autoconf -o $@ $<
	rm -rf autom4te.cache

clean:
	rm -rf build volmig

# A tarball came with its configure; a git checkout can make it again.
distclean: clean
	rm -rf config.mak config.log config.status autom4te.cache volmig-*.tar.gz
	@[ ! -e .git ] || rm -f configure

help:
	@echo 'Targets:'
	@echo '  all           ./volmig (the default)'
	@echo '  demo          install what is missing, build, and watch volumes move'
	@echo '  check         install what is missing, and run every test'
	@echo '  check-quick   install nothing; only the groups: $(CHECKS_QUICK)'
	@echo '  check-GROUP   one of: $(CHECKS)'
	@echo '  fuzz          libFuzzer on the parsers of specs and journals, for a while'
	@echo '  check-lvm-crash   a crash at every record of every kind of LVM move; for hours'
	@echo '  bench         volmig beside dd, qemu-img, nbdcopy and cp'
	@echo '  bench-live    volmig swap beside virsh blockcopy'
	@echo '  check-live-long  the tests of swaps under load, 100 of them'
	@echo '  bench-batch   volmig batch beside a shell loop'
	@echo '  bench-images  images and Ceph beside qemu-img convert'
	@echo '  bench-lvm     moves of logical volumes beside dd and lvs, in the lab'
	@echo '  bench-net     a move to another host beside dd and ssh'
	@echo '  lint          shellcheck, mandoc, groff and cppcheck'
	@echo '  install uninstall dist deb rpm clean distclean'
	@echo
	@echo 'Knobs:'
	@sed -n '/^# Targets/q; s/^#\t/  /p' Makefile

.PHONY: all programs check check-quick check-all check-lvm-crash fuzz fuzz-run bench bench-batch bench-live bench-lvm bench-images bench-net check-live-long demo lint install uninstall \
	dist deb rpm clean distclean help FORCE $(foreach g,$(CHECKS),check-$g programs-$g) \
	$(fuzzers:%=run-%)
FORCE:
