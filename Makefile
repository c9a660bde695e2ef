# libgraceclose: the whole build.  `make help` lists the targets.

VERSION	= 1.2.2
SOVERSION = 1

PREFIX	?= /usr/local
LIBDIR	?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR	?= $(PREFIX)/bin
SBINDIR	?= $(PREFIX)/sbin
DATADIR	?= $(PREFIX)/share
MANDIR	?= $(PREFIX)/share/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
CMAKEDIR ?= $(LIBDIR)/cmake/graceclose

CC	?= cc
AR	?= ar
INSTALL	?= install
PKG_CONFIG ?= pkg-config
CFLAGS	?= -O2 -g
BUILD	?= build
# PORTABLE=1 builds what plain POSIX allows: no epoll, no SIOCOUTQ, no TCP_INFO.
PORTABLE ?=

WARNINGS = -Wall -Wextra -Wpedantic -Wconversion -Wshadow
# What makes the headers show sockets with -std=c11: glibc and musl, NetBSD,
# illumos, macOS.  DEPS is empty for a compiler that cannot make *.d, as tcc.
FEATURES = -D_GNU_SOURCE -D_NETBSD_SOURCE -D__EXTENSIONS__ -D_DARWIN_C_SOURCE
DEPS	= -MMD -MP
BASE	= -std=c11 $(FEATURES) -Iinclude $(DEPS) $(WARNINGS) \
	  $(if $(filter posix,$(FACING)),-DGRACECLOSE_PORTABLE)
CHECK_CFLAGS := $(shell $(PKG_CONFIG) --cflags check libbsd 2>/dev/null)
CHECK_LIBS := $(shell $(PKG_CONFIG) --libs check libbsd 2>/dev/null) -pthread
BSD_CFLAGS := $(shell $(PKG_CONFIG) --cflags libbsd 2>/dev/null)
BSD_LIBS := $(shell $(PKG_CONFIG) --libs libbsd 2>/dev/null) -pthread
# Without libpcap closewatch, examples and tests say that they cannot capture.
PCAP_CFLAGS := $(shell $(PKG_CONFIG) --exists libpcap 2>/dev/null && \
	  echo -DHAVE_PCAP && $(PKG_CONFIG) --cflags libpcap)
PCAP_LIBS := $(shell $(PKG_CONFIG) --libs libpcap 2>/dev/null)
# Without OpenSSL replycheck says that it does not speak TLS.
OPENSSL	= 'openssl >= 3.0'
SSL_CFLAGS := $(shell $(PKG_CONFIG) --exists $(OPENSSL) 2>/dev/null && \
	  echo -DHAVE_OPENSSL && $(PKG_CONFIG) --cflags openssl)
SSL_LIBS := $(shell $(PKG_CONFIG) --libs $(OPENSSL) 2>/dev/null)
# Without libuv, libevent or go the bench says that it does without.
peer	= $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && echo $(2) && \
	  $(PKG_CONFIG) $(3) $(1))
PEER_CFLAGS := $(call peer,libuv,-DHAVE_LIBUV,--cflags) \
	  $(call peer,libevent_core,-DHAVE_LIBEVENT,--cflags)
PEER_LIBS := $(call peer,libuv,,--libs) $(call peer,libevent_core,,--libs)
GO	:= $(shell command -v go 2>/dev/null)

# $(call files,folders,pattern): the files of that name, however deep.
files	= $(sort $(shell find $(1) -name '$(2)'))

HEADER	= include/graceclose.h
# The system that CC builds for, as x86_64-linux-gnu or darwin.
SYSTEM	:= $(or $(shell $(CC) -dumpmachine 2>/dev/null),\
	   $(shell uname -s | tr A-Z a-z))
DARWIN	= $(or $(findstring darwin,$(SYSTEM)),$(findstring apple,$(SYSTEM)))
STATIC	= $(BUILD)/libgraceclose.a
LINKNAME = libgraceclose$(if $(DARWIN),.dylib,.so)
SONAME	= libgraceclose$(if $(DARWIN),.$(SOVERSION).dylib,.so.$(SOVERSION))
REALNAME = libgraceclose$(if $(DARWIN),.$(VERSION).dylib,.so.$(VERSION))
SHARED	= $(BUILD)/$(REALNAME)
# lib/kernel and lib/reaper have files for each system; FACING chooses.
FACING	= $(if $(PORTABLE),posix,$(if $(findstring linux,$(SYSTEM)),linux,posix))
OTHER	= $(if $(filter linux,$(FACING)),posix,linux) \
	  $(if $(filter linux,$(FACING)),watch_posix,watch_epoll)
LIB_SRC	:= $(filter-out $(foreach o,$(OTHER),lib/kernel/$(o)% \
	   lib/reaper/$(o)%),$(call files,lib,*.c))
PROGRAM_SRC := $(call files,bench examples test tools,*.c)
# Each folder includes headers only of folders that it may depend on.  A header
# is named with its folder.
LIB_INC	= -Ilib
TOOL_INC = -Itools
EXAMPLE_INC = -Iexamples $(TOOL_INC)
TEST_INC = -Itest $(TOOL_INC) $(LIB_INC) -I.
MAP	= lib/libgraceclose.map
SUPPRESSIONS = lib/graceclose.supp
PAGES	= $(sort $(wildcard man/*.3 man/*.7))

# In the order of the demo; the first ones can show the segments, too.
WIRED	= one_way_loss forced_reset early_reply
EXAMPLES = $(WIRED) threads_server epoll_server pool_sweep every_ending
# They ask Linux.
TOOLS	= $(if $(findstring linux,$(SYSTEM)),closewatch replycheck)
# A recipe for another library says in its head what it needs.
needs = sed -n 's/^ \* Needs .*(pkg-config \(.*\))\.$$/\1/p'
LACKING := $(shell for f in examples/recipes/*.c; do \
	  p=$$($(needs) $$f); [ -z "$$p" ] || $(PKG_CONFIG) --exists $$p || \
	  echo $$f; done)
other	= $$($(needs) $(1) | xargs -r $(PKG_CONFIG) --cflags --libs | \
	  sed 's/-I/-isystem /g')
RECIPES	= $(basename $(filter-out $(LACKING),$(wildcard examples/recipes/*.c)))
BENCHES	= bench bench_scale
CHECKS	= $(basename $(call files,test,check_*.c))
# `make check' does without valgrind; `make valgrind' runs this script.
UNDER_VALGRIND = test/install/check_valgrind.sh
SCRIPTS	= $(filter-out $(UNDER_VALGRIND),$(call files,test,check_*.sh))

EXAMPLE_BIN = $(EXAMPLES:%=$(BUILD)/examples/%)
TOOL_BIN = $(TOOLS:%=$(BUILD)/tools/%)
RECIPE_BIN = $(RECIPES:%=$(BUILD)/%)
# It interposes calls of Linux, as a sanitizer does.
PRELOAD	= $(if $(filter linux,$(FACING)),$(if $(findstring -fsanitize,$(CFLAGS)),,\
	  $(BUILD)/examples/preload/libgraceclose_preload.so))
BENCH_BIN = $(BENCHES:%=$(BUILD)/bench/%)
SUITE_BIN = $(CHECKS:%=$(BUILD)/%)
# Where JOBS run at once the longest ones begin; at the end each would be alone.
LONGEST	= check_matrix check_quiet check_edges check_sandbox check_support \
	  check_faults check_faults_lasting check_examples.sh check_late \
	  check_cause check_closewatch.sh
in_order = $(foreach t,$(LONGEST),$(filter %/$(t),$(1))) \
	   $(filter-out $(addprefix %/,$(LONGEST)),$(1))
SOAK	= $(BUILD)/test/soak/soak

# In which folder and when the library is built does not change a byte of it.
# Compilers take the folder from PWD; gcov needs it as it is.
export PWD := $(CURDIR)
MAPPED	:= $(if $(findstring --coverage,$(CFLAGS)),,$(shell \
	  $(CC) -ffile-prefix-map=a=b -E -x c /dev/null >/dev/null 2>&1 && \
	  echo '"-ffile-prefix-map=$(CURDIR)=."'))

STATIC_OBJ = $(LIB_SRC:%.c=$(BUILD)/static/%.o)
SHARED_OBJ = $(LIB_SRC:%.c=$(BUILD)/shared/%.o)
PROGRAM_OBJ = $(PROGRAM_SRC:%.c=$(BUILD)/obj/%.o)

.PHONY: all lib tools examples tests benches demo picture bench scale
.PHONY: servers retrofit
.PHONY: check check-programs check-scripts check-recipes asan tsan valgrind coverage
.PHONY: matrix soak fuzz plant model lint guest
.PHONY: abi abi-dump compilers
.PHONY: install install-tools uninstall clean dist help
.PHONY: deb check-deb release
.SECONDARY:
.DELETE_ON_ERROR:

all: lib

help:
	@echo 'make            the library: shared and static'
	@echo 'make demo       the examples, run one after another'
	@echo 'make check      every test (CK_FORK=no: each suite in one process)'
	@echo 'make bench      the library beside other ways to close; ROUNDS=5 WORK=mass'
	@echo 'make matrix     each close against each kind of peer, as a table'
	@echo 'make scale      whether a close costs more with many at once'
	@echo 'make servers    which servers of Debian lose early replies; SERVERS="nginx node"'
	@echo 'make retrofit   servers of others, before and after a change of their close;'
	@echo '                SERVERS="civetweb h2o"'
	@echo 'make soak       random closes for SECONDS=60, judged by their segments'
	@echo 'make fuzz       fuzzing of the close and of the capture reader, SECONDS=60'
	@echo 'make plant      whether the fuzzer finds planted mistakes'
	@echo 'make model      the close against TCP in every order, by spin(1)'
	@echo 'make asan, make tsan, make valgrind'
	@echo '                the suites with ASan and UBSan, with TSan, under valgrind'
	@echo 'make coverage   which lines of lib/ the suites run, and which not'
	@echo 'make guest      suites on KERNEL=6.1, 5.10, 6.12, sid or experimental, in a virtual'
	@echo '                machine; SUITES="check_probe ..."'
	@echo 'make platforms  the library for musl and other processors; PLATFORMS="musl i686"'
	@echo 'make compilers  lib/ by gcc, clang and tcc, C11 to C23, and without Linux; ALL=1'
	@echo 'make lint       clang-tidy and cppcheck'
	@echo 'make abi        the library beside test/abi, by abidiff; abi-dump adds a release'
	@echo 'make lib, make tests, make tools, make examples, make benches'
	@echo '                build these programs, and run none'
	@echo 'make picture    $(PICTURE) again, from a new capture'
	@echo 'make check-programs, make check-scripts'
	@echo '                the suites alone, the scripts alone'
	@echo 'make install    to DESTDIR, PREFIX [$(PREFIX)], LIBDIR, INCLUDEDIR, SBINDIR,'
	@echo '                BINDIR, DATADIR, MANDIR, PKGCONFIGDIR, CMAKEDIR; replycheck too,'
	@echo '                and closewatch where pkg-config finds libpcap (TOOLS= : neither)'
	@echo 'make uninstall  remove what install put there'
	@echo 'make dist       $(BUILD)/libgraceclose-$(VERSION).tar.gz from the last commit'
	@echo 'make deb        Debian packages of the last commit in $(BUILD)/deb/'
	@echo 'make check-deb  a minimal Debian installs them, uses them, builds them again'
	@echo 'make release VERSION=x.y.z'
	@echo '                tarball, packages, checksums, if every place names VERSION'
	@echo 'make clean      remove $(BUILD)/'
	@echo 'Honoured as well: CC AR CPPFLAGS CFLAGS LDFLAGS INSTALL PKG_CONFIG'
	@echo '                BUILD=build JOBS=2 PORTABLE=1'

# --- the library ---------------------------------------------------------

lib: $(STATIC) $(SHARED) $(BUILD)/$(SONAME) $(BUILD)/$(LINKNAME)

# The compiler, the flags and the sources of the last build: when one of them
# changes, make builds everything again.
FLAGS	= $(BUILD)/flags
WITH	= $(CC) $(BASE) $(PCAP_CFLAGS) $(SSL_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) \
	  $(LIB_SRC)

$(FLAGS): again
	@mkdir -p $(@D)
	@echo '$(WITH)' | cmp -s - $@ || echo '$(WITH)' >$@
.PHONY: again

$(BUILD)/static/%.o: %.c Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(CC) $(BASE) $(LIB_INC) $(MAPPED) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/shared/%.o: %.c Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(CC) $(BASE) $(LIB_INC) $(MAPPED) -fPIC $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(STATIC): $(STATIC_OBJ) $(FLAGS)
	@rm -f $@
	@# Not every ar has D, which leaves times and owners out.
	$(AR) rcsD $@ $(STATIC_OBJ) 2>/dev/null || $(AR) rcs $@ $(STATIC_OBJ)

$(SHARED): $(SHARED_OBJ) $(MAP) $(FLAGS)
	$(CC) $(SHARING) $(CFLAGS) $(LDFLAGS) -o $@ $(SHARED_OBJ) -pthread

# Where the linker does not know an option the library does without it.  So it
# says $(1) if an empty library links with that, and else nothing.  The map of
# that library names no symbol: a new lld refuses one that is not there.
ask	= $(shell echo '{ local: *; };' >$(BUILD)/asked.map; \
	  echo 'int asked;' | $(CC) $(CFLAGS) $(LDFLAGS) -shared -fPIC -x c - \
	  -o $(BUILD)/asked $(subst $(MAP),$(BUILD)/asked.map,$(1)) \
	  >/dev/null 2>&1 && echo '$(1)'; rm -f $(BUILD)/asked*)
SHARING	= $(if $(DARWIN),$(SHARING_DARWIN),-shared \
	  $(call ask,-Wl$(,)-soname$(,)$(SONAME)) \
	  $(call ask,-Wl$(,)--version-script=$(MAP)) \
	  $(call ask,-Wl$(,)-z$(,)nodelete) $(UNDEFINED))
# Darwin's linker has no versions, but a list of the symbols.
SHARING_DARWIN = -dynamiclib -install_name $(LIBDIR)/$(SONAME) \
	  -compatibility_version $(SOVERSION) -current_version $(VERSION) \
	  $(foreach s,$(SYMBOLS),-Wl$(,)-exported_symbol$(,)_$(s))
SYMBOLS = $(shell test/install/map_nodes.sh | cut -d ' ' -f 2)
, := ,

$(BUILD)/$(SONAME): $(SHARED)
	ln -sf $(<F) $@

$(BUILD)/$(LINKNAME): $(BUILD)/$(SONAME)
	ln -sf $(<F) $@

# The program, not the shared library, links a sanitizer's run-time library.
UNDEFINED = $(if $(findstring -fsanitize,$(CFLAGS)),,$(call ask,-Wl$(,)-z$(,)defs))

# --- programs ------------------------------------------------------------

# $(call need,pkg-config module,Debian package): one error line if it is missing.
define need
@command -v $(PKG_CONFIG) >/dev/null || { \
    echo 'error: $(PKG_CONFIG) is missing: apt-get install pkg-config' >&2; \
    exit 1; }
@$(PKG_CONFIG) --exists $(1) || { \
    echo 'error: $(1) is missing: apt-get install $(2)' >&2; exit 1; }
endef

.PHONY: need-check need-bsd
need-check: need-bsd
	$(call need,check,check)
need-bsd:
	$(call need,libbsd,libbsd-dev)

$(filter-out $(BUILD)/obj/tools/%,$(PROGRAM_OBJ)): | need-bsd
$(filter $(BUILD)/obj/test/%,$(PROGRAM_OBJ)): | need-check

# What each folder is compiled with on top of BASE.  The tools need nothing but
# libc, and libpcap and OpenSSL where they are there.
$(BUILD)/obj/bench/%.o: private FOLDER = $(BSD_CFLAGS) $(PEER_CFLAGS)
$(BUILD)/obj/examples/%.o: private FOLDER = $(EXAMPLE_INC) $(BSD_CFLAGS) \
    $(PCAP_CFLAGS)
$(BUILD)/obj/test/%.o: private FOLDER = $(TEST_INC) $(CHECK_CFLAGS) \
    $(PCAP_CFLAGS) $(SSL_CFLAGS)
$(BUILD)/obj/tools/%.o: private FOLDER = $(TOOL_INC) $(PCAP_CFLAGS) \
    $(SSL_CFLAGS)
$(BUILD)/obj/bench/wheel_alone.o: private FOLDER = $(LIB_INC)

$(BUILD)/obj/%.o: %.c Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(CC) $(BASE) $(FOLDER) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# In the suites of test/faults the library calls fault.c instead of libc.
FAULTS	= recv send read write getsockopt setsockopt getpeername getsockname \
	  ioctl fcntl shutdown connect close socket poll pipe eventfd \
	  epoll_create1 epoll_ctl epoll_wait malloc calloc mmap madvise \
	  pthread_create pthread_condattr_init pthread_cond_init \
	  pthread_mutex_init
$(filter $(BUILD)/test/faults/%,$(SUITE_BIN)): private WRAP = \
    $(FAULTS:%=-Wl,--wrap=%)
$(filter %/check_reaper_failures,$(SUITE_BIN)): private WRAP = \
    -Wl,--wrap=epoll_ctl -Wl,--wrap=malloc -Wl,--wrap=calloc
$(filter %_openssl %/check_crowd,$(SUITE_BIN)): private SSL = $(SSL_LIBS)

# A file with a header is a module; each program links those that it needs.
modules	= $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(patsubst %.h,%.c,\
	  $(call files,$(1),*.h))))
$(BUILD)/obj/tools.a: $(call modules,tools)
$(BUILD)/obj/examples.a: $(call modules,examples)
$(BUILD)/obj/bench.a: $(patsubst %.c,$(BUILD)/obj/%.o,\
    $(filter-out $(BENCHES:%=bench/%.c),$(wildcard bench/*.c bench/peers/*.c)))
$(BUILD)/obj/test.a: $(call modules,test)
$(BUILD)/obj/%.a:
	@rm -f $@
	$(AR) rcs $@ $^

.SECONDEXPANSION:
$(BUILD)/tools/%: $(BUILD)/obj/tools/$$*/$$*.o $(BUILD)/obj/tools.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PCAP_LIBS) \
	    $(if $(filter replycheck,$*),$(SSL_LIBS) -pthread)

$(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(BUILD)/obj/examples.a \
    $(BUILD)/obj/tools.a $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(BSD_LIBS) $(PCAP_LIBS)

# As a reader compiles them: the header, the library, and what they name.
$(BUILD)/examples/recipes/%: examples/recipes/%.c $(HEADER) $(STATIC) Makefile
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(BASE)) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) \
	    -o $@ $< $(STATIC) -pthread $(call other,$<)

# With the library inside, whose own calls do not go through those it replaces.
PRELOAD_OBJ = $(patsubst %.c,$(BUILD)/shared/%.o,$(wildcard examples/preload/*.c))
PRELOAD_MAP = examples/preload/preload.map
$(PRELOAD_OBJ): private LIB_INC = -Iexamples
$(PRELOAD): $(PRELOAD_OBJ) $(SHARED_OBJ) $(PRELOAD_MAP)
	@mkdir -p $(@D)
	$(CC) -shared -Wl,-z,defs -Wl,--version-script=$(PRELOAD_MAP) \
	    $(foreach c,close epoll_create1 epoll_ctl eventfd,-Wl,--wrap=$(c)) \
	    $(CFLAGS) $(LDFLAGS) -o $@ $(PRELOAD_OBJ) $(SHARED_OBJ) -pthread -ldl

$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BUILD)/obj/bench.a $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(BSD_LIBS) $(PEER_LIBS)

$(BUILD)/test/%: $(BUILD)/obj/test/%.o $(BUILD)/obj/test.a \
    $(BUILD)/obj/tools.a $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) $(WRAP) -o $@ $^ $(CHECK_LIBS) $(PCAP_LIBS) \
	    $(SSL)

$(BUILD)/bench/go_server: bench/peers/go_server.go
	@mkdir -p $(@D)
	GOCACHE='$(abspath $(BUILD))/go' GO111MODULE=off CGO_ENABLED=0 \
	    $(GO) build -o $@ $<

tools: $(TOOL_BIN)
examples: $(EXAMPLE_BIN) $(RECIPE_BIN) $(PRELOAD)
benches: $(BENCH_BIN) $(if $(GO),$(BUILD)/bench/go_server)
tests: $(SUITE_BIN) $(SOAK)

demo: $(TOOL_BIN) $(EXAMPLE_BIN)
	@for e in $(EXAMPLES); do \
	    case ' $(WIRED) ' in *" $$e "*) wire=--wire ;; *) wire= ;; esac; \
	    $(BUILD)/examples/$$e $$wire || exit 1; echo; \
	done

# To capture takes root, or a namespace in which one is root.
PICTURE	= examples/one_way_loss.svg
CAPTURE	= if [ "$$(id -u)" -eq 0 ]; then "$$@"; \
	  else unshare -Urn sh -c 'ip link set lo up && "$$@"' sh "$$@"; fi

picture: $(BUILD)/examples/one_way_loss
	@set -- $< --svg $(PICTURE); { $(CAPTURE); } >$(BUILD)/picture.log || \
	    { tail -n 3 $(BUILD)/picture.log; exit 1; }
	@echo $(PICTURE)

# ROUNDS=9 WORK=mass: more rounds, one work.  All works together make the files
# anew that README shows.
bench: benches
	@$(BUILD)/bench/bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(WORK),\
	    --work $(WORK),--json bench/results.json --plot $(BUILD)/bench)
	@$(if $(WORK),:,command -v gnuplot >/dev/null || \
	    { echo 'no figures: apt-get install gnuplot-nox'; exit 0; }; \
	    gnuplot -e "from='$(BUILD)/bench'; to='bench'" bench/plot.gp)

scale: benches
	@$(BUILD)/bench/bench_scale

servers: tools
	@BUILD=$(BUILD) bench/servers.sh $(SERVERS)

retrofit: lib tools
	@BUILD=$(BUILD) bench/retrofit.sh $(SERVERS)

# --- tests ---------------------------------------------------------------

# How many suites run at once: they wait more than they work.
JOBS	?= 2
export JOBS

check: lib tests tools examples benches
	@MAKE='$(MAKE)' CC='$(CC)' BUILD='$(BUILD)' \
	    test/run.sh $(call in_order,$(SUITE_BIN) $(SCRIPTS))

# The suites alone, as under a sanitizer; the scripts alone.
check-programs: tests
	@test/run.sh $(call in_order,$(SUITE_BIN))

check-scripts: lib tools examples benches
	@MAKE='$(MAKE)' CC='$(CC)' BUILD='$(BUILD)' \
	    test/run.sh $(call in_order,$(SCRIPTS))

check-recipes: tools examples
	@MAKE='$(MAKE)' CC='$(CC)' BUILD='$(BUILD)' \
	    test/run.sh $(filter %/check_recipes.sh %/check_servers.sh,$(SCRIPTS))

# The suites again, with the sanitizers; and the recipes.
SANITIZE = -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all \
	   -fsanitize=address,undefined

asan:
	@CK_FORK=no $(MAKE) --no-print-directory BUILD=$(BUILD)/asan \
	    CFLAGS='$(SANITIZE)' check-programs
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan \
	    CFLAGS='$(SANITIZE)' check-recipes

tsan:
	@export CK_FORK=no \
	    TSAN_OPTIONS='halt_on_error=1 suppressions=$(CURDIR)/test/tsan.supp'; \
	for target in check-programs check-recipes; do \
	    $(MAKE) --no-print-directory BUILD=$(BUILD)/tsan \
	        CFLAGS='-O1 -g -fsanitize=thread' $$target || exit 1; \
	done

VALGRIND = valgrind -q --fair-sched=try --child-silent-after-fork=yes \
	   --leak-check=full --show-leak-kinds=definite \
	   --errors-for-leak-kinds=definite --error-exitcode=9 \
	   --suppressions=$(SUPPRESSIONS) --suppressions=test/valgrind.supp

valgrind: lib
	@command -v valgrind >/dev/null || { \
	    echo 'error: valgrind is missing: apt-get install valgrind' >&2; \
	    exit 1; }
	@CK_FORK=no RUN='$(VALGRIND)' \
	    $(MAKE) --no-print-directory BUILD=$(BUILD)/valgrind \
	    CFLAGS='-O1 -g' check-programs
	@CC='$(CC)' BUILD='$(BUILD)' test/run.sh $(UNDER_VALGRIND)

coverage:
	@rm -rf $(BUILD)/coverage
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage \
	    CFLAGS='-O0 -g --coverage -fprofile-update=atomic -D_exit=exit' \
	    check-programs
	@test/coverage.sh $(BUILD)/coverage

# How long soak and fuzz run.
SECONDS	?= 60

# Suites on another kernel, in a virtual machine, which is slow: by default what
# the kernel decides.
KERNEL	?= 6.1
SUITES	?= check_faults check_graceful_close check_linger_close \
	   check_abort_close check_peer_closed check_probe check_begin \
	   check_graceclose check_answered check_hard_cases check_fallback \
	   check_faults_kernel check_faults_look \
	   $(notdir $(filter test/facts/% test/api/ktls/%,$(CHECKS)))

guest: tests
	@BUILD='$(BUILD)' test/guest/run.sh $(KERNEL) $(SUITES)

# The library of each row with suites that are built already.
COMPILED = check_wheel check_reaper_full check_begin

compilers: $(foreach s,$(COMPILED),$(filter %/$(s),$(SUITE_BIN)))
	@MAKE='$(MAKE)' BUILD='$(BUILD)' ALL='$(ALL)' \
	    test/compilers/run.sh '$(ROWS)'
# Other C libraries and processors: what each row needs says test/platforms/run.sh.
PLATFORMS ?= musl i686 arm64 armhf riscv64 ppc64el s390x

platforms:
	@MAKE='$(MAKE)' BUILD='$(BUILD)' test/platforms/run.sh $(PLATFORMS)
.PHONY: platforms

matrix: $(filter %/check_matrix,$(SUITE_BIN))
	@$< --table

soak: $(SOAK)
	@$< -s $(SECONDS)

model:
	@CC='$(CC)' BUILD='$(BUILD)' test/model/run.sh

# Fuzzes the reader of captured packets, and the close on a kernel that answers
# anything: each takes half of the time.  It needs clang.
FUZZ	= clang $(BASE) $(TEST_INC) -O1 -g -fno-sanitize-recover=all \
	  -fsanitize=fuzzer,address,undefined
FUZZED	= -max_total_time=$$(($(SECONDS) / 2)) -timeout=5 -print_final_stats=1 \
	  -artifact_prefix=$(BUILD)/

fuzz:
	@mkdir -p $(BUILD)/corpus $(BUILD)/corpus_closer
	$(FUZZ) -o $(BUILD)/fuzz_segment test/fuzz/fuzz_segment.c \
	    tools/closewatch/segment.c tools/closewatch/flow.c
	$(FUZZ) -o $(BUILD)/fuzz_closer test/fuzz/fuzz_closer.c \
	    test/fuzz/judge.c test/fuzz/kernel*.c
	$(BUILD)/fuzz_segment $(FUZZED) $(BUILD)/corpus test/fuzz/corpus
	$(BUILD)/fuzz_closer $(FUZZED) -max_len=400 $(BUILD)/corpus_closer \
	    test/fuzz/corpus_closer

plant:
	@FUZZ='$(FUZZ)' test/fuzz/plant.sh $(NAMES)

abi: lib
	@MAKE='$(MAKE)' CC='$(CC)' BUILD='$(BUILD)' test/install/check_abi.sh

abi-dump:
	@[ ! -e test/abi/$(VERSION).abi ] || { echo 'error: $(VERSION) has a' \
	    'dump, test/abi/$(VERSION).abi, and keeps it' >&2; exit 1; }
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/abi CFLAGS='-O0 -g' lib
	@test/abi/dump.sh $(BUILD)/abi/libgraceclose.so test/abi/$(VERSION).abi
	@echo test/abi/$(VERSION).abi

# clang-tidy and cppcheck read every C file, those of the other kernel as well.
LINT_SRC = $(call files,lib,*.c) $(PROGRAM_SRC)

# One file a run: given several, clang-tidy 14 misses calls of va_start.
lint: $(LINT_SRC:%=tidy/%)
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -Iinclude \
	    -D_GNU_SOURCE --enable=warning,performance,portability \
	    $(LINT_SRC)

$(LINT_SRC:%=tidy/%): tidy/%:
	clang-tidy --quiet $* -- -std=c11 -D_GNU_SOURCE -Iinclude \
	    $(TEST_INC) -Iexamples $(CHECK_CFLAGS) $(PCAP_CFLAGS) \
	    $(SSL_CFLAGS) $(PEER_CFLAGS) $(call other,$*)
.PHONY: $(LINT_SRC:%=tidy/%)

# --- install -------------------------------------------------------------

# The one list of files that install makes and uninstall removes.
LIB_FILES = libgraceclose.a $(REALNAME)
LIB_LINKS = $(SONAME) $(LINKNAME)
CMAKE_FILES = graceclose-config.cmake graceclose-config-version.cmake
page	= $(MANDIR)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))
INSTALLED = $(HEADER:include/%=$(INCLUDEDIR)/%) \
	$(LIB_FILES:%=$(LIBDIR)/%) $(LIB_LINKS:%=$(LIBDIR)/%) \
	$(PKGCONFIGDIR)/libgraceclose.pc $(CMAKE_FILES:%=$(CMAKEDIR)/%) \
	$(SUPPRESSIONS:lib/%=$(DATADIR)/graceclose/%) \
	$(foreach p,$(PAGES),$(call page,$(p)))
# closewatch is for the administrator.
tool	= $(if $(filter closewatch,$(1)),$(SBINDIR),$(BINDIR))/$(1)
tool_page = $(wildcard man/$(1).[18])
installed_tools = $(foreach t,$(1),$(call tool,$(t)) \
	$(call page,$(call tool_page,$(t))))

# CMake refuses the library to a program whose pointers have another size.
POINTER	= $(filter 4 8,$(shell echo __SIZEOF_POINTER__ | \
	  $(CC) $(CPPFLAGS) $(CFLAGS) -E -P - 2>/dev/null))
# $(call filled,file,folder): the file into the folder, from its template.
filled	= sed -e 's|@prefix@|$(PREFIX)|' -e 's|@libdir@|$(LIBDIR)|' \
	  -e 's|@includedir@|$(INCLUDEDIR)|' -e 's|@version@|$(VERSION)|' \
	  -e 's|@cmakedir@|$(CMAKEDIR)|' -e 's|@soname@|$(SONAME)|' \
	  -e 's|@pointer@|$(POINTER)|' pkgconfig/$(1).in >$(DESTDIR)$(2)/$(1) && \
	  chmod 644 $(DESTDIR)$(2)/$(1)

# make takes a path with a space for two, and a program finds no relative one.
PLACES	= LIBDIR INCLUDEDIR BINDIR SBINDIR DATADIR MANDIR PKGCONFIGDIR CMAKEDIR
MISPLACED = $(if $(word 2,$(DESTDIR)),DESTDIR) $(foreach p,$(PLACES),$(if \
	    $(filter-out 1,$(words $($(p))))$(filter-out /%,$($(p))),$(p)))

.PHONY: places
places:
	@set -- $(MISPLACED); [ $$# = 0 ] || { echo "error: $$*: give PREFIX" \
	    'and the other folders as absolute paths without spaces' >&2; exit 1; }

# closewatch is of no use where it cannot capture.
USEFUL	= $(if $(PCAP_LIBS),$(TOOLS),$(filter-out closewatch,$(TOOLS)))

install: places lib install-tools
	$(INSTALL) -d $(sort $(dir $(INSTALLED:%=$(DESTDIR)%)))
	$(INSTALL) -m 644 $(HEADER) $(DESTDIR)$(INCLUDEDIR)/
	$(INSTALL) -m 644 $(LIB_FILES:%=$(BUILD)/%) $(DESTDIR)$(LIBDIR)/
	ln -sf $(REALNAME) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/$(LINKNAME)
	$(call filled,libgraceclose.pc,$(PKGCONFIGDIR))
	$(foreach f,$(CMAKE_FILES),$(call filled,$(f),$(CMAKEDIR)) &&) :
	$(INSTALL) -m 644 $(SUPPRESSIONS) $(DESTDIR)$(DATADIR)/graceclose/
	for p in $(PAGES); do \
	    to=$(DESTDIR)$(MANDIR)/man$${p##*.}; \
	    if [ -h $$p ]; then ln -sf "$$(readlink $$p)" $$to/$${p##*/}; \
	    else $(INSTALL) -m 644 $$p $$to/; fi || exit 1; \
	done
	@[ -n '$(DESTDIR)' ] || \
	    echo 'Run ldconfig as root, so that programs find $(SONAME).'

install-tools: places $(USEFUL:%=$(BUILD)/tools/%)
	for f in $(call installed_tools,$(USEFUL)); do \
	    $(INSTALL) -d $(DESTDIR)$${f%/*}; \
	    case $$f in \
	    *.[18]) $(INSTALL) -m 644 man/$${f##*/} $(DESTDIR)$$f ;; \
	    *) $(INSTALL) -m 755 $(BUILD)/tools/$${f##*/} $(DESTDIR)$$f ;; \
	    esac || exit 1; \
	done

uninstall: places
	rm -f $(addprefix $(DESTDIR),$(INSTALLED) \
	    $(call installed_tools,$(TOOLS)))
	@rmdir $(DESTDIR)$(DATADIR)/graceclose $(DESTDIR)$(CMAKEDIR) \
	    2>/dev/null || :

PACKED	= $(BUILD)/libgraceclose-$(VERSION).tar

# Settings of who packs do not change the tarball.
dist:
	@[ -e .git ] || { echo 'error: make dist packs the last commit: run it' \
	    'in a git clone, there is no .git here' >&2; exit 1; }
	@mkdir -p $(BUILD)
	git -c tar.umask=0022 -c core.autocrlf=false archive -o $(PACKED) \
	    --prefix=libgraceclose-$(VERSION)/ HEAD
	gzip -nf $(PACKED)
	@echo $(PACKED).gz

# Debian packages of the last commit.  check-deb asks a minimal Debian, as root.
# A release has its version on the command line, and nowhere another one.
deb: dist
	@VERSION='$(VERSION)' BUILD='$(BUILD)' test/package/build.sh

# The suites run in there.
check-deb:
	@DEB_BUILD_OPTIONS=nocheck $(MAKE) --no-print-directory deb
	@VERSION='$(VERSION)' BUILD='$(BUILD)' test/package/chroot.sh

release:
	@MAKE='$(MAKE)' BUILD='$(BUILD)' test/package/release.sh \
	    '$(if $(filter command,$(origin VERSION)),$(VERSION))'

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
