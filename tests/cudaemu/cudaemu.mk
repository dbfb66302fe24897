# The CUDA backend on a CPU: the plugin's own sources against tests/cudaemu instead of nvcc, the CUDA runtime
# and cuBLASLt. Included by the Makefile; needs the toolkit's headers only.
#   $B/cudaemu/<plain|asan|race>/liblingster-cuda.so     LNG_CUDA_PLUGIN=<path> makes a program take one
# asan is g++'s whatever CC is, and loads only into programs linked with EMU_ASAN_LINK.
CUDA_HOME ?= /usr/local/cuda
EMU_READY := $(and $(filter-out 0,$(CUDA)),$(wildcard $(CUDA_HOME)/include/cuda_runtime.h),$(wildcard $(CUDA_HOME)/include/cublasLt.h),$(filter x86_64,$(shell uname -m)),1)

EMU_SRC  := $(sort $(wildcard tests/cudaemu/emu_*.cc))
# The double's own files that differ in a variant; the others are those of plain.
EMU_OWN_plain := $(EMU_SRC)
EMU_OWN_asan  := $(addprefix tests/cudaemu/,emu_fiber.cc emu_memory.cc emu_report.cc emu_shared.cc)
EMU_OWN_race  := tests/cudaemu/emu_race.cc
EMU_HOST := $(CUDA_HOST_SRC)
EMU_LIBS := $(foreach v,plain asan race,$B/cudaemu/$v/liblingster-cuda.so)
EMU_ASAN_LINK := -fsanitize=address,undefined

EMU_INCLUDE := -I. -I$B -isystem $(CUDA_HOME)/include
EMU_COMMON  := $(EMU_INCLUDE) -D_GNU_SOURCE -DCUDA_NO_HALF -DLNG_CUDAEMU -DLNG_VERSION='"$(VERSION)"' -fPIC -fvisibility=hidden -MMD -MP -g1 \
               -ffile-prefix-map=$(CURDIR)=.
EMU_SAN     := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# Kernels: -ffp-contract as the C sources have it; NVIDIA's vector types are read through pointers to others.
EMU_KERNEL  := -std=c++17 $(EMU_COMMON) -Wall $(if $(filter 1,$(WERROR)),-Werror) -Wno-unknown-pragmas -fno-strict-aliasing -ffp-contract=off -fno-math-errno \
               -x c++ -include tests/cudaemu/cudaemu.h
OBJCOPY ?= objcopy
EMU_CXX_plain := $(CXX)
EMU_CXX_asan  := g++
EMU_CXX_race  := $(CXX)
EMU_CC_plain  := $(CC)
EMU_CC_asan   := gcc
# Optimised no more than pays while the tests run.
EMU_KERNEL_plain := -O1
EMU_KERNEL_asan  := -Og $(EMU_SAN) -fno-sanitize=null
# Calls before every access, answered by emu_race.cc: libtsan is not linked.
EMU_KERNEL_race  := -O1 -fsanitize=thread
EMU_HOST_asan    := $(EMU_SAN)
EMU_DOUBLE_asan  := -DCUDAEMU_ASAN
EMU_DOUBLE_race  := -DCUDAEMU_RACE
EMU_LINK_plain   := -Wl,-z,defs -Wl,-T,tests/cudaemu/shared.ld
EMU_LINK_asan    := $(EMU_SAN) -Wl,-T,tests/cudaemu/shared.ld
EMU_LINK_race    := $(EMU_LINK_plain)
EMU_AFTER_race   := $(foreach f,memcpy memmove memset,--redefine-sym $f=cudaemu_$f)

EMU_FLAGS_TEXT := $(EMU_KERNEL) $(EMU_COMMON) $(WARN) $(WARN_C) $(foreach v,plain asan race,$(EMU_CXX_$v) $(EMU_CC_$v) \
                  $(EMU_KERNEL_$v) $(EMU_HOST_$v) $(EMU_DOUBLE_$v) $(EMU_AFTER_$v))
$B/cudaemu/.flags: FORCE | $B/.packages
	@mkdir -p $(@D); echo '$(subst ','\'',$(EMU_FLAGS_TEXT))' | cmp -s - $@ || echo '$(subst ','\'',$(EMU_FLAGS_TEXT))' > $@

define EMU_RULES
$B/cudaemu/$(1)/%.cu.o: %.cu $B/cudaemu/.flags
	@mkdir -p $$(@D)
	$$(call say,EMU,$$< $(1))$$(EMU_CXX_$(1)) $$(EMU_KERNEL) $$(EMU_KERNEL_$(1)) -c -o $$@ $$<
	$$(if $$(EMU_AFTER_$(1)),@$$(OBJCOPY) $$(EMU_AFTER_$(1)) $$@)
$B/cudaemu/$(1)/%.c.o: %.c $B/cudaemu/.flags
	@mkdir -p $$(@D)
	$$(call say,EMU,$$< $(1))$$(EMU_CC_$(1)) -std=c11 $$(EMU_COMMON) $$(WARN_C) -O1 $$(EMU_HOST_$(1)) -c -o $$@ $$<
$B/cudaemu/$(1)/%.cc.o: %.cc $B/cudaemu/.flags
	@mkdir -p $$(@D)
	$$(call say,EMU,$$< $(1))$$(EMU_CXX_$(1)) -std=c++17 $$(EMU_COMMON) $$(WARN) -O2 $$(EMU_DOUBLE_$(1)) -c -o $$@ $$<
# What every plugin or program on the double links.
$B/cudaemu/$(1)/libcudaemu.a: $(EMU_OWN_$(1):%.cc=$B/cudaemu/$(1)/%.cc.o) $(patsubst %.cc,$B/cudaemu/plain/%.cc.o,$(filter-out $(EMU_OWN_$(1)),$(EMU_SRC)))
	$$(call say,AR,$$@)rm -f $$@ && $$(AR) rcsD $$@ $$^
$B/cudaemu/$(1)/liblingster-cuda.so: $(CUDA_SRC:%.cu=$B/cudaemu/$(1)/%.cu.o) $(EMU_HOST:%.c=$B/cudaemu/$(if $(filter asan,$(1)),asan,plain)/%.c.o) \
                                     $B/cudaemu/$(1)/libcudaemu.a tests/cudaemu/plugin.map tests/cudaemu/shared.ld
	$$(call say,LD,$$@)$$(EMU_CXX_$(1)) -shared $$(EMU_LINK_$(1)) -Wl,-Bsymbolic -Wl,--version-script,tests/cudaemu/plugin.map \
	    -o $$@ $$(filter %.o,$$^) \
	    -Wl,--whole-archive $B/cudaemu/$(1)/libcudaemu.a -Wl,--no-whole-archive -lpthread -ldl -lm
$B/cudaemu/$(1)/planted $B/cudaemu/$(1)/golden: $B/cudaemu/$(1)/libcudaemu.a tests/cudaemu/shared.ld
	$$(call say,LD,$$@)$$(EMU_CXX_$(1)) $$(EMU_LINK_$(1)) -o $$@ $$(filter %.o,$$^) -Wl,--whole-archive $$(filter %.a,$$^) \
	    -Wl,--no-whole-archive -lpthread -ldl -lm
$B/cudaemu/$(1)/planted: $(patsubst %.cu,$B/cudaemu/$(1)/%.cu.o,$(wildcard tests/cudaemu/planted/*.cu))
endef
$(foreach v,plain asan race,$(eval $(call EMU_RULES,$v)))
$B/cudaemu/plain/golden: $B/cudaemu/plain/tests/cudaemu/golden.cu.o

# The same on a GPU; what it prints is tests/cudaemu/golden.txt.
$B/tests/cudaemu/golden-gpu: tests/cudaemu/golden.cu $B/.flags
	@mkdir -p $(@D)
	$(call say,NVCC,$<)$(NVCC) $(NVCC_ALL) $(NVCC_FLAGS) -o $@ $<

# The double's own tests: it reports what is planted, and nothing else.
EMU_TESTS := $(patsubst %.c,$B/%,$(sort $(wildcard tests/cudaemu/test_*.c)))
$B/tests/cudaemu/test_cudaemu: | $(foreach v,plain asan race,$B/cudaemu/$v/planted)
$B/tests/cudaemu/test_golden: | $B/cudaemu/plain/golden
ifneq ($(EMU_READY),)
TESTS += $(EMU_TESTS)
tests test run-logged: $(EMU_TESTS)
endif

.PHONY: cudaemu test-cudaemu
cudaemu: $(EMU_LIBS) ## build the CUDA backend for a CPU, in three variants
test-cudaemu: $(EMU_TESTS)
	$Qtests/run $(EMU_TESTS)

# The parity suite of every operation, and the tests of graphs, streams and int8 products, on each variant.
EMU_KINDS := parity graphs streams int8
$(foreach v,plain asan race,$(eval $(EMU_KINDS:%=$B/tests/cudaemu/test_%_$v): | $B/cudaemu/$v/liblingster-cuda.so))
$B/tests/cudaemu/test_devices $B/tests/cudaemu/test_launches $B/tests/cudaemu/test_norm_linear $B/tests/cudaemu/test_waits: | $B/cudaemu/plain/liblingster-cuda.so
$(EMU_KINDS:%=$B/tests/cudaemu/test_%_asan): private CC := gcc
$(EMU_KINDS:%=$B/tests/cudaemu/test_%_asan): private LDALL += $(EMU_ASAN_LINK)
$B/tests/e2e/test_cuda_double $B/tests/e2e/test_compare $B/tests/e2e/test_translate_gpus: | $(if $(EMU_READY),$B/cudaemu/plain/liblingster-cuda.so)
$B/tests/e2e/test_bench: | $(if $(EMU_READY),$B/cudaemu/plain/liblingster-cuda.so)
$B/tests/cudaemu/test_timing_double: | $B/cudaemu/plain/liblingster-cuda.so
