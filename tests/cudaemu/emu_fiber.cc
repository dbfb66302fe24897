/* Stacks for the threads of a block, and the switch between them (x86-64, System V: only what a callee
 * saves). A switch costs some 20 ns, so that a warp collective costs less than a microsecond. */
#include "tests/cudaemu/emu.h"

#include <sys/mman.h>

#ifndef __x86_64__
#error "the switch of stacks is written for x86-64"
#endif

extern "C" void cudaemu_switch(void **save, void *load);
extern "C" void cudaemu_enter();
extern "C" void cudaemu_run_fiber();
asm(R"(
    .text
    .local cudaemu_switch
    .type cudaemu_switch, @function
cudaemu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size cudaemu_switch, .-cudaemu_switch
    .local cudaemu_enter
    .type cudaemu_enter, @function
cudaemu_enter:
    xorl %ebp, %ebp
    call cudaemu_run_fiber@PLT
    ud2
    .size cudaemu_enter, .-cudaemu_enter
    .section .note.GNU-stack, "", @progbits
    .text
)");

namespace cudaemu
{

#ifdef CUDAEMU_ASAN
static constexpr size_t stack_bytes = 256 << 10;
#else
static constexpr size_t stack_bytes = 64 << 10;
#endif
static constexpr size_t page = 4096;

static fiber main_fiber;
static fiber *self = &main_fiber, *left;
/* Never destroyed: the last launch may come from a destructor. */
static std::vector<fiber *> &idle = *new std::vector<fiber *>;

static fiber *fiber_make()
{
    static size_t made;
    char *room = static_cast<char *>(mmap(nullptr, stack_bytes + page, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (room == MAP_FAILED || mprotect(room, page, PROT_NONE) != 0)
        die("memory", "no room for the stack of a thread");
    fiber *one = new fiber();
    one->stack = room + page;
    one->size = stack_bytes;
    /* Tops at one offset in their pages would share a few sets of the cache. */
    char *top = room + page + stack_bytes - 64 - made++ % 56 * 64;
    void **words = reinterpret_cast<void **>(top);
    *--words = nullptr; /* the stack is 16-byte aligned where cudaemu_enter begins */
    *--words = nullptr;
    *--words = reinterpret_cast<void *>(cudaemu_enter);
    for (int saved = 0; saved < 6; saved++)
        *--words = nullptr;
    one->stack_pointer = words;
    return one;
}
fiber *fiber_take()
{
    if (idle.empty())
        return fiber_make();
    fiber *one = idle.back();
    idle.pop_back();
    return one;
}
void fiber_give(fiber *one)
{
    idle.push_back(one);
}
fiber *fiber_current()
{
    return self;
}
fiber *fiber_main()
{
    return &main_fiber;
}
bool on_own_stack(uintptr_t at)
{
    return self != &main_fiber && at - (uintptr_t)self->stack < self->size;
}

/* On the new stack: AddressSanitizer hears where we are, and says where the old stack was. */
static void arrived([[maybe_unused]] void *fake_stack)
{
#ifdef CUDAEMU_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, &left->stack, &left->size);
#endif
}
void fiber_switch(fiber *to)
{
    fiber *from = self;
    left = from;
    self = to;
#ifdef CUDAEMU_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->size);
#endif
    cudaemu_switch(&from->stack_pointer, to->stack_pointer);
    arrived(from->fake_stack);
}

} // namespace cudaemu

extern "C" void cudaemu_run_fiber()
{
    cudaemu::arrived(nullptr);
    cudaemu::run_fiber();
}
