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
ifeq ($(origin CC),default)
CC      := gcc
endif
ifeq ($(origin CXX),default)
CXX     := g++
endif
CFLAGS  ?= -O2 -g
CXXFLAGS ?= -O2 -g
PKG_CONFIG ?= pkg-config
INSTALL ?= install
comma   := ,
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)';)

WARN    := -Wall -Wextra -Wshadow -Wpointer-arith -Wvla -Wformat=2 -Wundef $(if $(filter 1,$(WERROR)),-Werror)
WARN_C  := $(WARN) -Wstrict-prototypes -Wmissing-prototypes
# Implicit narrowing is an error where untrusted sizes are handled; kernels convert reals all the time.
WARN_HOST := -Wconversion -Wno-sign-conversion -Wno-float-conversion
HARDEN  := -fstack-protector-strong -fcf-protection $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
COMMON  := -I. -D_GNU_SOURCE -DLNG_VERSION='"$(VERSION)"' -fPIC -fvisibility=hidden -MMD -MP \
           $(HARDEN) $(SANFLAGS) -ffile-prefix-map=$(CURDIR)=.
# -std=c11 keeps floating-point contraction off: the same source gives the same bits everywhere.
ALL_C   := -std=c11 $(COMMON) $(WARN_C)
ALL_CXX := -std=c++17 $(COMMON) $(WARN)
# One table: package -> link flags.
LIBS    := -ldnnl -lopenblas -lsentencepiece_train -lsentencepiece -lprotobuf-c -lyaml -ljansson -lz -lzstd \
           -licui18n -licuuc -lstdc++ -lgomp -lpthread -ldl -lm
LDALL   := -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(SANFLAGS)

HOST_SRC := $(sort $(filter-out host/cli/main.c,$(wildcard host/*/*.c)) $(wildcard tokenizer/*.c))
CXX_SRC  := $(sort $(wildcard tokenizer/*.cc))
KERN_SRC := $(sort $(wildcard kernels/*.c))
REF_SRC  := $(sort $(wildcard kernels/ref/*.c))
CPU_SRC  := $(sort $(wildcard kernels/cpu/*.c))
# Vector code, compiled once for each instruction set and chosen at run time.
SIMD_SRC := $(sort $(wildcard kernels/cpu/simd/*.c))
ISAS     := base avx2 avx512
ISA_base   := -DLNG_ISA=base
ISA_avx2   := -DLNG_ISA=avx2 -mavx2 -mfma -mf16c
ISA_avx512 := -DLNG_ISA=avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512

OBJ := $(HOST_SRC:%.c=$B/%.o) $(CXX_SRC:%.cc=$B/%.cc.o) $(KERN_SRC:%.c=$B/%.o) $(CPU_SRC:%.c=$B/%.o) \
       $(REF_SRC:%.c=$B/%.o) $(REF_SRC:%.c=$B/%.f64.o) \
       $(foreach isa,$(ISAS),$(SIMD_SRC:%.c=$B/%.$(isa).o))
SUPPORT_OBJ := $(patsubst %.c,$B/%.o,$(sort $(wildcard tests/support/*.c)))
TEST_SRC := $(sort $(wildcard tests/unit/*.c tests/ops/*.c tests/grad/*.c tests/parity/*.c tests/e2e/*.c))
TESTS   := $(TEST_SRC:%.c=$B/%)

.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all test test-asan test-ubsan test-threads check check-floors check-size check-format format install uninstall help \
        clean demo fuzz FORCE

all: $B/lingster $B/liblingster.a ## build the program and the library

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n",$$1,$$2}' $(MAKEFILE_LIST)

# A change of flags rebuilds.
FLAGS_TEXT := $(CC) $(CXX) $(ALL_C) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(LIBS)
$B/.flags: FORCE
	@mkdir -p $B; echo '$(subst ','\'',$(FLAGS_TEXT))' | cmp -s - $@ || echo '$(subst ','\'',$(FLAGS_TEXT))' > $@

KERNEL_O := -O3 -fopenmp -fno-math-errno
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
$B/%.cc.o: %.cc $B/.flags
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) $(ALL_CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

$B/liblingster.a: $(OBJ)
	$(call say,AR,$@)rm -f $@ && $(AR) rcsD $@ $^
$B/lingster: $B/host/cli/main.o $B/liblingster.a
	$(call say,LD,$@)$(CC) -pie $(LDALL) $(LDFLAGS) -o $@ $^ $(LIBS)
$B/tests/%: $B/tests/%.o $(SUPPORT_OBJ) $B/liblingster.a
	$(call say,LD,$@)$(CC) $(LDALL) $(LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs criterion) $(LIBS)

tests: $(TESTS)
test: $(TESTS) $B/lingster ## run every test; ends with 'N passed, N failed, N skipped'
	$Qtests/run $(TESTS)
clean: ## remove the build folder
	rm -rf $B

-include $(shell find $B -name '*.d' -type f 2>/dev/null)
