/* Settings from the environment, and how the double speaks: what is wrong, where, and the end. */
#include "tests/cudaemu/emu.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

namespace cudaemu
{

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value != nullptr && value[0] != '\0' && strcmp(value, "0") != 0;
}
static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    if (value == nullptr || value[0] == '\0')
        return otherwise;
    char *end;
    uint64_t number = strtoull(value, &end, 10);
    if (*end != '\0')
        die("settings", "%s=%s: expected a number", name, value);
    return number;
}
static settings from_environment()
{
    settings out = {};
    const char *order = getenv("LNG_CUDAEMU_SCHEDULE");
    if (order == nullptr || order[0] == '\0' || strcmp(order, "forward") == 0)
        out.order = schedule::forward;
    else if (strcmp(order, "reverse") == 0)
        out.order = schedule::reverse;
    else if (strcmp(order, "random") == 0)
        out.order = schedule::random;
    else
        die("settings", "LNG_CUDAEMU_SCHEDULE=%s: expected forward, reverse or random", order);
    out.seed = number_of("LNG_CUDAEMU_SEED", 1);
    out.async = is_set("LNG_CUDAEMU_ASYNC");
    out.protect = is_set("LNG_CUDAEMU_PROTECT");
    out.memory = (size_t)number_of("LNG_CUDAEMU_MEMORY", 2048) << 20;
    out.devices = (int)number_of("LNG_CUDAEMU_DEVICES", 1);
    out.mixed = is_set("LNG_CUDAEMU_MIXED");
    out.fatal_launch = number_of("LNG_CUDAEMU_FATAL_LAUNCH", 0);
    return out;
}
const settings &options()
{
    static const settings all = from_environment();
    return all;
}
uint32_t random_number()
{
    static uint64_t state = options().seed;
    state += 0x9E3779B97F4A7C15ull; /* splitmix64 */
    uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBull;
    return (uint32_t)(mixed >> 32);
}

/* Never destroyed: destructors of others may still call. */
static std::recursive_mutex &lock = *new std::recursive_mutex;
entry::entry()
{
    lock.lock();
}
entry::~entry()
{
    lock.unlock();
}

void say(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof text)
        length = sizeof text - 1;
    if (write(STDERR_FILENO, text, (size_t)length) < 0)
        return;
}
void say_where()
{
    if (running == nullptr)
        return;
    say("  in kernel %s, block (%u,%u,%u)", running->request.name, blockIdx.x, blockIdx.y,
        blockIdx.z);
    if (current != nullptr)
        say(", thread (%u,%u,%u)", current->index.x, current->index.y, current->index.z);
    say("\n");
}
/* File and line of an address in code, by binutils' addr2line where there is one. */
void say_line(void *pc)
{
    Dl_info info;
    if (dladdr(pc, &info) == 0 || info.dli_fname == nullptr)
        return;
    char command[1200], file[512];
    /* A program is known by the word it was called by. */
    snprintf(file, sizeof file, "%s", info.dli_fname);
    if (file[0] != '/') {
        ssize_t length = readlink("/proc/self/exe", file, sizeof file - 1);
        file[length > 0 ? length : 0] = '\0';
    }
    size_t offset = (size_t)((char *)pc - (char *)info.dli_fbase) - 1;
    snprintf(command, sizeof command, "addr2line -Cipe '%s' 0x%zx 2>/dev/null", file, offset);
    /* The program's own sanitizer is no business of a tool's. */
    unsetenv("LD_PRELOAD");
    char line[512];
    bool any = false;
    FILE *tool = popen(command, "r");
    while (tool != nullptr && fgets(line, sizeof line, tool) != nullptr) {
        say("  at %s", line);
        any = true;
    }
    if (tool != nullptr)
        pclose(tool);
    if (!any)
        say("  at %s+0x%zx\n", file, offset);
}
void stop()
{
    fflush(nullptr);
    _exit(exit_status);
}
void die(const char *kind, const char *format, ...)
{
    char text[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say("cudaemu: error [%s]: %s\n", kind, text);
    say_where();
    stop();
}

#ifdef CUDAEMU_ASAN
/* AddressSanitizer reports accesses; it does not know of kernels. */
void catch_faults()
{
    static bool done;
    if (!done)
        __sanitizer_set_death_callback(say_where);
    done = true;
}
#else
/* A kernel's stray access, or the host's access to protected memory. */
static void on_fault(int signal, siginfo_t *info, void *)
{
    span arena = device_arena();
    const unsigned char *at = static_cast<const unsigned char *>(info->si_addr);
    bool device = arena.bytes > 0 && at >= arena.at && at < arena.at + arena.bytes;
    if (running == nullptr && !device) { /* not ours */
        ::signal(signal, SIG_DFL);
        return;
    }
    say("cudaemu: error [%s]: %s %p\n", running ? "address" : "host",
        running ? "bad access of a kernel, address" : "the host touches device memory at",
        info->si_addr);
    say_where();
    _exit(exit_status);
}
void catch_faults()
{
    static thread_local bool done;
    static thread_local char room[1 << 14];
    if (done)
        return;
    done = true;
    /* A sanitizer of the program may have given the thread one, which it takes back when the thread ends. */
    stack_t stack = {};
    if (sigaltstack(nullptr, &stack) == 0 && (stack.ss_flags & SS_DISABLE) != 0) {
        stack = {};
        stack.ss_sp = room;
        stack.ss_size = sizeof room;
        sigaltstack(&stack, nullptr);
    }
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
}
#endif

} // namespace cudaemu
