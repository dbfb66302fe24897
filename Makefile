# lingster: make [B=build] [V=1] [CUDA=0|1|auto] [SAN=address,undefined|undefined|thread] [WERROR=0]
# `make help` lists the targets.
VERSION := 0.1.0
SOVERSION := 0

V       ?=
CUDA    ?= auto
WERROR  ?= 1
B       ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
BINDIR  ?= $(PREFIX)/bin
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
ifeq ($(origin CC),default)
CC      := gcc
endif
ifeq ($(origin CXX),default)
CXX     := g++
endif
# Sanitizers make every test program large: lines are enough to report.
CFLAGS  ?= -O2 $(if $(SAN),-g1,-g)
CXXFLAGS ?= $(CFLAGS)
PKG_CONFIG ?= pkg-config
INSTALL ?= install
comma   := ,
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)';)

IS_CLANG := $(findstring clang,$(shell $(CC) --version 2>/dev/null))
# Cutting at the end of a buffer is what snprintf is used for here.
WARN    := $(if $(IS_CLANG),,-Wno-format-truncation) -Wall -Wextra -Wshadow -Wpointer-arith -Wvla -Wformat=2 -Wundef $(if $(filter 1,$(WERROR)),-Werror)
WARN_C  := $(WARN) -Wstrict-prototypes -Wmissing-prototypes
# Implicit narrowing is an error where untrusted sizes are handled; kernels convert reals all the time.
WARN_HOST := -Wconversion -Wno-sign-conversion -Wno-float-conversion
HARDEN  := -fstack-protector-strong -fcf-protection $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# Readers of text: numbers that were compared are no help in making up text, and recording them takes half of the time.
# What memcmp and strcmp compared is recorded all the same.
TEXT_ONLY := $(if $(findstring fuzzer,$(SAN)),-fno-sanitize-coverage=trace-cmp)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
COMMON  := -I. -I$B -D_GNU_SOURCE -DLNG_VERSION='"$(VERSION)"' -fPIC -fno-semantic-interposition -MMD -MP \
           $(HARDEN) $(SANFLAGS) -ffile-prefix-map=$(CURDIR)=.
# -std=c11 keeps floating-point contraction off: the same source gives the same bits everywhere.
ALL_C   := -std=c11 $(COMMON) $(WARN_C)
ALL_CXX := -std=c++17 $(COMMON) $(WARN)
LIBS    := -lsentencepiece_train -lsentencepiece -lprotobuf-c -lyaml -ljansson -lexpat -lmd4c -lz -lzip -lzstd -licui18n -licuuc -lstdc++ -lpthread -lm
LDALL   := -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(SANFLAGS)
# RELOCATABLE=1, as make dist has it: a program finds its libraries, and they theirs, in ../lib.
LDALL   += $(if $(filter 1,$(RELOCATABLE)),-Wl$(comma)--disable-new-dtags -Wl$(comma)-rpath$(comma)'$$ORIGIN/../lib')

HOST_SRC := $(sort $(filter-out host/cli/main.c,$(wildcard host/*/*.c)) $(wildcard tokenizer/*.c))
CXX_SRC  := $(sort $(wildcard tokenizer/*.cc))
PROTO_SRC := $(sort $(wildcard tokenizer/*.proto))
KERN_SRC := $(sort $(wildcard kernels/*.c))
CUDA_SRC := $(sort $(wildcard kernels/cuda/*.cu))
CUDA_HOST_SRC := $(sort $(wildcard kernels/cuda/*.c)) kernels/dtype.c
CUDA_HOME ?= /usr/local/cuda
NVCC     ?= $(firstword $(wildcard $(CUDA_HOME)/bin/nvcc) nvcc)
# Code for these GPUs, and PTX of the first, which newer drivers compile for all others.
CUDA_ARCHS ?= 80 90
# auto: with CUDA when there are sources for it and a compiler.
WITH_CUDA := $(if $(filter auto,$(CUDA)),$(if $(CUDA_SRC),$(if $(shell command -v $(NVCC)),1,0),0),$(CUDA))
ifeq ($(filter 0 1,$(WITH_CUDA)),)
$(error CUDA=$(CUDA): expected 0, 1 or auto)
endif
ifeq ($(WITH_CUDA)$(CUDA_SRC),1)
$(error CUDA=1: there are no CUDA sources in this tree, use CUDA=0 or auto)
endif
REF_SRC  := $(sort $(wildcard kernels/ref/*.c))
CPU_SRC  := $(sort $(wildcard kernels/cpu/*.c))
# Vector code, compiled once for each instruction set and chosen at run time.
SIMD_SRC := $(sort $(wildcard kernels/cpu/simd/*.c))
ISAS     := base avx2 avx512
ISA_base   := -DLNG_ISA=base
ISA_avx2   := -DLNG_ISA=avx2 -mavx2 -mfma -mf16c
ISA_avx512 := -DLNG_ISA=avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512

OBJ := $(HOST_SRC:%.c=$B/%.o) $(CXX_SRC:%.cc=$B/%.cc.o) $(PROTO_SRC:%.proto=$B/%.pb-c.o) $(KERN_SRC:%.c=$B/%.o) $(CPU_SRC:%.c=$B/%.o) \
       $(REF_SRC:%.c=$B/%.o) $(REF_SRC:%.c=$B/%.f64.o) \
       $(foreach isa,$(ISAS),$(SIMD_SRC:%.c=$B/%.$(isa).o))
SUPPORT_OBJ := $(patsubst %.c,$B/%.o,$(sort $(wildcard tests/support/*.c)))
TEST_SRC := $(sort $(wildcard tests/unit/*.c tests/ops/*.c tests/grad/*.c tests/parity/*.c tests/e2e/*.c))
FUZZ    := $(patsubst %.c,$B/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
TESTS   := $(TEST_SRC:%.c=$B/%) $(FUZZ)
THREAD_TESTS := $(patsubst %.c,$B/%,$(sort $(wildcard tests/threads/*.c)))
SHARED  := liblingster.so.$(VERSION)
SONAME  := liblingster.so.$(SOVERSION)

.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all help tests test check-install test-asan test-ubsan test-threads run-logged run-threads \
        fuzz fuzz-programs only-fuzz run-fuzz fuzz-seeds check check-floors check-size check-format format install uninstall demo dist clean FORCE

PLUGIN   := $(if $(filter 1,$(WITH_CUDA)),$B/liblingster-cuda.so)

all: $B/lingster $B/liblingster.a $(PLUGIN) ## build the program, the library and, where nvcc is, the CUDA backend

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n",$$1,$$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  variables: B=folder V=1 CC= CFLAGS= SAN=address,undefined|thread CUDA=0|1|auto WERROR=0 DESTDIR= PREFIX='

# Once a build folder: what is missing is installed for test and demo, and only named otherwise.
$B/.packages: scripts/setup.sh
	@mkdir -p $B
	@scripts/setup.sh $(if $(filter test% check demo,$(MAKECMDGOALS)),,--check)
	@touch $@

$(filter $B/host/config/% $B/host/documents/% $B/host/infer/% $B/tokenizer/% $B/host/base/text.o $B/host/base/lines.o \
    $B/host/store/shortlist_text.o $B/host/store/marian_%,$(filter-out $B/tokenizer/spm%,$(OBJ))): ALL_C += $(TEXT_ONLY)

# A change of flags rebuilds.
FLAGS_TEXT := $(TEXT_ONLY) $(CC) $(CXX) $(ALL_C) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(LIBS)
$B/.flags: FORCE | $B/.packages
	@mkdir -p $B; echo '$(subst ','\'',$(FLAGS_TEXT))' | cmp -s - $@ || echo '$(subst ','\'',$(FLAGS_TEXT))' > $@

KERNEL_O := $(if $(SAN),-O2,-O3) -fno-math-errno
$B/kernels/cpu/simd/%.base.o: kernels/cpu/simd/%.c $B/.flags
	@mkdir -p $(@D)
	$(call say,CC,$< base)$(CC) $(ALL_C) $(CPPFLAGS) $(CFLAGS) $(KERNEL_O) $(ISA_base) -c -o $@ $<
$B/kernels/cpu/simd/%.avx2.o: kernels/cpu/simd/%.c $B/.flags
	@mkdir -p $(@D)
	$(call say,CC,$< avx2)$(CC) $(ALL_C) $(CPPFLAGS) $(CFLAGS) $(KERNEL_O) $(ISA_avx2) -c -o $@ $<
$B/kernels/cpu/simd/%.avx512.o: kernels/cpu/simd/%.c $B/.flags
	@mkdir -p $(@D)
	$(call say,CC,$< avx512)$(CC) $(ALL_C) $(CPPFLAGS) $(CFLAGS) $(KERNEL_O) $(ISA_avx512) -c -o $@ $<
$B/kernels/cpu/%.o: kernels/cpu/%.c $B/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_C) $(CPPFLAGS) $(CFLAGS) $(KERNEL_O) -c -o $@ $<
$B/kernels/ref/%.f64.o: kernels/ref/%.c $B/.flags
	@mkdir -p $(@D)
	$(call say,CC,$< double)$(CC) $(ALL_C) $(CPPFLAGS) $(CFLAGS) -DLNG_REF_DOUBLE -c -o $@ $<
$B/kernels/%.o: kernels/%.c $B/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_C) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$B/tests/%.o: tests/%.c $B/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_C) -Wno-missing-prototypes $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$B/%.o: %.c $B/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_C) $(WARN_HOST) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
# Generated by protobuf-c's compiler; the checker of SentencePiece models includes the header.
PROTOC_C ?= protoc-c
$B/%.pb-c.c $B/%.pb-c.h &: %.proto | $B/.packages
	@mkdir -p $(@D)
	$(call say,PROTO,$<)$(PROTOC_C) --c_out=$B $<
$B/%.pb-c.o: $B/%.pb-c.c $B/.flags
	$(call say,CC,$<)$(CC) $(ALL_C) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$B/tokenizer/spm_check.o: $(PROTO_SRC:%.proto=$B/%.pb-c.h)
$B/%.cc.o: %.cc $B/.flags
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) $(ALL_CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

# The CUDA backend is a library of its own, opened when a GPU is asked for: the program runs without it.
NVCC_FLAGS ?= -O3
NVCC_ALL := -std=c++17 -I. -I$B -DLNG_VERSION='"$(VERSION)"' $(foreach arch,$(CUDA_ARCHS),-gencode arch=compute_$(arch),code=sm_$(arch)) \
            -gencode arch=compute_$(firstword $(CUDA_ARCHS)),code=compute_$(firstword $(CUDA_ARCHS)) \
            -Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra$(if $(filter 1,$(WERROR)),$(comma)-Werror) -Xptxas -warn-spills -MMD -MP
$B/kernels/cuda/%.cu.o: kernels/cuda/%.cu $B/.flags
	@mkdir -p $(@D)
	$(call say,NVCC,$<)$(NVCC) $(NVCC_ALL) $(NVCC_FLAGS) -c -o $@ $<
$B/kernels/cuda/%.o: kernels/cuda/%.c $B/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_C) -isystem $(CUDA_HOME)/include -fvisibility=hidden $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$B/liblingster-cuda.so: $(CUDA_SRC:%=$B/%.o) $(CUDA_HOST_SRC:%.c=$B/%.o)
	$(call say,LD,$@)$(CXX) -shared -Wl,-Bsymbolic -Wl,--no-undefined $(LDALL) $(LDFLAGS) -o $@ $^ -L$(CUDA_HOME)/lib64 \
	    -Wl,-rpath,'$$ORIGIN:$(CUDA_HOME)/lib64' -lcublasLt -lcudart_static -ldl -lrt -lpthread

$B/liblingster.a: $(OBJ)
	$(call say,AR,$@)rm -f $@ && $(AR) rcsD $@ $^
$B/lingster: $B/host/cli/main.o $B/liblingster.a
	$(call say,LD,$@)$(CC) -pie $(LDALL) $(LDFLAGS) -o $@ $^ $(LIBS)
$B/$(SHARED): $(OBJ) scripts/exports.map
	$(call say,LD,$@)$(CC) -shared -Wl,-soname,$(SONAME) -Wl,--version-script,scripts/exports.map \
	    -Wl,--no-undefined $(LDALL) $(LDFLAGS) -o $@ $(OBJ) $(LIBS)
$B/lingster.pc: FORCE
	@mkdir -p $B
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: lingster' \
	    'Description: neural machine translation' 'Version: $(VERSION)' \
	    'Cflags: -I$${includedir}/lingster' 'Libs: -L$${libdir} -llingster' 'Libs.private: $(LIBS)' > $@
$B/tests/threads/%: $B/tests/threads/%.o $B/kernels/cpu/cpu_pool.o $B/libreaders.a
	$(call say,LD,$@)$(CC) $(LDALL) $(LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs cmocka) $(LIBS)
$B/tests/threads/test_workers_threads: $B/tests/threads/test_workers_threads.o $B/liblingster.a # all the kernels
	$(call say,LD,$@)$(CC) $(LDALL) $(LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs cmocka) $(LIBS)
$B/tests/%: $B/tests/%.o $(SUPPORT_OBJ) $B/liblingster.a
	$(call say,LD,$@)$(CC) $(LDALL) $(LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs criterion) $(LIBS)

# Targets are run by libFuzzer where the build is for it, else over their seeds.
FUZZING := $(findstring fuzzer,$(SAN))
# Enough for what needs no kernels: those take minutes to compile with some sanitizers.
$B/libreaders.a: $(filter $B/host/base/% $B/host/config/% $B/host/data/% $B/host/documents/% $B/host/model/% $B/host/store/% $B/tokenizer/% \
    $B/host/infer/constraint_line.o $B/host/infer/terminology.o $B/host/infer/word_text.o,$(OBJ))
	$(call say,AR,$@)rm -f $@ && $(AR) rcsD $@ $^
$B/tests/fuzz/make_seeds: $B/tests/fuzz/make_seeds.o $B/liblingster.a
	$(call say,LD,$@)$(CC) $(LDALL) $(LDFLAGS) -o $@ $^ $(LIBS)
ifeq ($(FUZZING),)
$B/tests/fuzz/%: $B/tests/fuzz/%.o $B/tests/fuzz/replay.o $(SUPPORT_OBJ) $B/liblingster.a
	$(call say,LD,$@)$(CC) $(LDALL) $(LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs criterion) $(LIBS)
else
$B/tests/fuzz/%: $B/tests/fuzz/%.o $B/tests/fuzz/trace_cmp.o $B/libreaders.a
	$(call say,LD,$@)$(CXX) $(subst fuzzer-no-link,fuzzer,$(LDALL)) $(LDFLAGS) $(foreach width,1 2 4 8,\
	    -Wl$(comma)--wrap=__sanitizer_cov_trace_cmp$(width) -Wl$(comma)--wrap=__sanitizer_cov_trace_const_cmp$(width)) -o $@ $^ $(LIBS)
endif

# The CUDA backend on a CPU, and its tests.
include tests/cudaemu/cudaemu.mk

tests: $(TESTS) ## build the tests without running them
test: $(TESTS) $B/lingster ## run every test; ends with 'N passed, N failed, N skipped'
	$Qtests/run $(TESTS)
test-asan: ## every test under AddressSanitizer, leaks and undefined behaviour included
	$Q$(MAKE) SAN=address,undefined B=$B-asan run-logged
test-ubsan: ## every test under UndefinedBehaviorSanitizer
	$Q$(MAKE) SAN=undefined B=$B-ubsan run-logged
test-threads: ## what many threads share, under ThreadSanitizer
	$Q$(MAKE) SAN=thread B=$B-tsan run-threads

# Inputs that found something new are kept in B-fuzz/corpus; a finding is a file crash-* or the like there.
TARGET  ?= $(patsubst fuzz_%,%,$(notdir $(FUZZ)))
SECONDS ?= 60
FUZZ_BUILD = $(MAKE) CC=clang CXX=clang++ SAN=address,undefined,fuzzer-no-link B=$B-fuzz
fuzz: ## libFuzzer for SECONDS=60 on each target, or on TARGET=name (needs clang)
	$Q$(FUZZ_BUILD) run-fuzz
fuzz-programs: ## build the targets of libFuzzer without running them
	$Q$(FUZZ_BUILD) only-fuzz
only-fuzz: $(patsubst %,$B/tests/fuzz/fuzz_%,$(TARGET))
run-fuzz: only-fuzz
	$Qfor target in $(TARGET); do \
	    echo "== $$target"; tests/fuzz/fuzz-one $B $$target -max_total_time=$(SECONDS) -verbosity=0 || exit 1; \
	done
fuzz-seeds: $B/tests/fuzz/make_seeds ## write the binary seeds below tests/fuzz/corpus again
	$Q$< tests/fuzz/corpus

# Criterion calls a test passed whose process reported a leak at its end: reports go to files, and none may be left.
REPORTS = $(abspath $B)/report
run-logged: $(TESTS) $B/lingster
	$Qrm -f $(REPORTS).*; rc=0; \
	ASAN_OPTIONS=log_path=$(REPORTS):detect_leaks=1:allocator_may_return_null=1 \
	LSAN_OPTIONS=print_suppressions=0:suppressions=$(CURDIR)/tests/support/leaks.supp \
	UBSAN_OPTIONS=log_path=$(REPORTS):print_stacktrace=1 LNG_TEST_TIMEOUT=600 LNG_TEST_WALL=1800 tests/run $(TESTS) || rc=1; \
	for report in $(REPORTS).*; do [ ! -e "$$report" ] || { cat "$$report"; rc=1; }; done; exit $$rc
run-threads: $(THREAD_TESTS)
	$Qrc=0; for test in $(THREAD_TESTS); do TSAN_OPTIONS=exitcode=66 timeout -k 10 600 $$test || rc=1; done; exit $$rc

check: check-floors check-size check-format check-install test ## all that must hold before a commit
check-floors: ## includes point down the floors, and what belongs in one place stays there
	$Qscripts/check-floors.sh
check-size: ## files, functions and folders keep their limits
	$Qscripts/check-size.sh
FORMATTED = $(or $(shell git ls-files '*.c' '*.h' '*.cc' '*.cu' '*.cuh' 2>/dev/null),$(shell \
    find host kernels tokenizer tests -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh'))
check-install: $B/lingster ## install below a temporary folder, use what is there, uninstall
	$Qscripts/check-install.sh B=$B CC=$(CC)
check-format: ## clang-format would change nothing
	$Qclang-format --dry-run --Werror $(FORMATTED)
format: ## run clang-format on every source
	$Qclang-format -i $(FORMATTED)

demo: $B/lingster ## translate sentences with the model in configs/demo
	$QLINGSTER=$(abspath $B/lingster) scripts/demo.sh

DIST_ARCHS := 80 86 89 90 100
dist: ## a folder that runs on another x86-64 Linux, with all GPUs' code and the tests that compare devices
	$Q$(MAKE) B=$B-dist RELOCATABLE=1 CUDA_ARCHS='$(DIST_ARCHS)' CFLAGS='$(CFLAGS)' all $B-dist/tests/parity/test_parity $(if $(PLUGIN),$B-dist/tests/cudaemu/golden-gpu)
	$Qscripts/make-dist.sh $B-dist $B-dist/lingster-$(VERSION)

# Headers keep their paths below include/lingster, so that they include each other as they do here.
PUBLIC := $(sort $(wildcard host/base/*.h host/base/*.def host/config/*.h host/config/*.def host/model/*.h host/model/*.def \
          host/data/*.h host/documents/*.h host/store/*.h host/store/*.def host/infer/*.h host/infer/*.def host/train/*.h host/eval/*.h tokenizer/*.h kernels/ops.h kernels/ops.def \
          kernels/device.h kernels/observe.h))
install: $B/lingster $B/liblingster.a $B/$(SHARED) $B/lingster.pc $(PLUGIN) ## install below DESTDIR and PREFIX (/usr/local)
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig
	$(INSTALL) -m 755 $B/lingster $(DESTDIR)$(BINDIR)/lingster
	$(INSTALL) -m 644 $B/liblingster.a $(DESTDIR)$(LIBDIR)/liblingster.a
	$(INSTALL) -m 755 $B/$(SHARED) $(DESTDIR)$(LIBDIR)/$(SHARED)
	$(if $(PLUGIN),$(INSTALL) -m 755 $(PLUGIN) $(DESTDIR)$(LIBDIR)/liblingster-cuda.so)
	ln -sf $(SHARED) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/liblingster.so
	$(INSTALL) -m 644 $B/lingster.pc $(DESTDIR)$(LIBDIR)/pkgconfig/lingster.pc
	$Qfor header in $(PUBLIC); do $(INSTALL) -D -m 644 $$header $(DESTDIR)$(INCLUDEDIR)/lingster/$$header || exit 1; done
	$(INSTALL) -d $(DESTDIR)$(DATADIR)/lingster/configs $(DESTDIR)$(DATADIR)/bash-completion/completions
	$(INSTALL) -m 644 $(wildcard configs/*.yml) $(DESTDIR)$(DATADIR)/lingster/configs
	$(INSTALL) -m 644 scripts/lingster-completion.bash $(DESTDIR)$(DATADIR)/bash-completion/completions/lingster
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/lingster $(DESTDIR)$(LIBDIR)/liblingster.a $(DESTDIR)$(LIBDIR)/$(SHARED) \
	    $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/liblingster.so $(DESTDIR)$(LIBDIR)/liblingster-cuda.so \
	    $(DESTDIR)$(LIBDIR)/pkgconfig/lingster.pc
	rm -f $(DESTDIR)$(DATADIR)/bash-completion/completions/lingster
	rm -rf $(DESTDIR)$(INCLUDEDIR)/lingster $(DESTDIR)$(DATADIR)/lingster
clean: ## remove the build folders
	rm -rf $B $B-asan $B-ubsan $B-tsan $B-fuzz $B-dist

-include $(shell find $B -name '*.d' -type f 2>/dev/null)
