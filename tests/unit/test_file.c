#include "host/base/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <unistd.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(file, .init = setup, .fini = scratch_remove);

static void expect_content(const char *path, const char *want)
{
    struct lng_buffer content = {0};
    check_ok(lng_file_read(path, 1 << 20, &content));
    cr_assert_str_eq(content.data, want);
    lng_buffer_release(&content);
}

static void expect_text(char *got, const char *want)
{
    cr_assert_str_eq(got, want);
    lng_free(got);
}

Test(file, paths)
{
    expect_text(lng_path_join("a", "b"), "a/b");
    expect_text(lng_path_join("a/", "b"), "a/b");
    expect_text(lng_path_join("a", "/b"), "/b");
    expect_text(lng_path_join("", "b"), "b");
    cr_assert_str_eq(lng_path_name("a/b.c"), "b.c");
    cr_assert_str_eq(lng_path_name("b.c"), "b.c");
    expect_text(lng_path_parent("a/b/c"), "a/b");
    expect_text(lng_path_parent("a/b/"), "a");
    expect_text(lng_path_parent("a"), ".");
    expect_text(lng_path_parent("/a"), "/");
    expect_text(lng_path_parent("/"), "/");
    expect_text(lng_path_parent("a//b"), "a");
}

Test(file, read_whole_with_a_limit)
{
    const char *path = scratch_write("f", "a\0bc", 4);
    struct lng_buffer content = {0};
    check_ok(lng_file_read(path, 4, &content));
    cr_assert(content.length == 4 && memcmp(content.data, "a\0bc", 5) == 0);
    check_fails(lng_file_read(path, 3, &content), LNG_ERR_RANGE, "3");
    cr_assert(content.length == 0);
    /* A device has no size to ask for beforehand. */
    check_fails(lng_file_read("/dev/zero", 100000, &content), LNG_ERR_RANGE, "100000");
    check_ok(lng_file_read("/dev/null", 0, &content));
    cr_assert(content.length == 0 && content.data[0] == '\0');
    check_fails(lng_file_read(scratch_path("none"), 9, &content), LNG_ERR_IO, "No such file");
    check_fails(lng_file_read(scratch_path("."), 9, &content), LNG_ERR_IO, "directory");
    lng_buffer_release(&content);
}

Test(file, map)
{
    struct lng_map map = {0};
    check_ok(lng_map_open(&map, scratch_write("f", "mapped", 6)));
    cr_assert(map.size == 6 && memcmp(map.data, "mapped", 6) == 0);
    lng_map_close(&map);
    check_ok(lng_map_open(&map, scratch_write("e", "", 0)));
    cr_assert(map.size == 0 && map.data != NULL);
    lng_map_close(&map);
    lng_map_close(&map);
    check_fails(lng_map_open(&map, scratch_path("none")), LNG_ERR_IO, "none");
    check_fails(lng_map_open(&map, "/dev/null"), LNG_ERR_IO, "not a regular file");
    cr_assert(map.data == NULL);
}

Test(file, info_and_folders)
{
    struct lng_file_info info;
    check_ok(lng_file_get_info(scratch_write("f", "12345", 5), &info));
    cr_assert(info.size == 5 && info.regular && !info.directory && info.modified > 0);
    check_fails(lng_file_get_info(scratch_path("none"), &info), LNG_ERR_IO, "none");
    check_ok(lng_make_directories(scratch_path("x//y/z/")));
    check_ok(lng_make_directories(scratch_path("x/y/z")));
    cr_assert(lng_directory_exists(scratch_path("x/y/z")));
    cr_assert(lng_file_exists(scratch_path("f")) && !lng_directory_exists(scratch_path("f")));
    check_fails(lng_make_directories(scratch_path("f/below")), LNG_ERR_IO, "below");
    scratch_write("x/y/file", "1", 1);
    check_ok(lng_remove_tree(scratch_path("x")));
    check_ok(lng_remove_tree(scratch_path("x")));
    cr_assert(!lng_file_exists(scratch_path("x")));
}

Test(file, remove_tree_does_not_follow_links)
{
    check_ok(lng_make_directories(scratch_path("kept")));
    scratch_write("kept/file", "1", 1);
    check_ok(lng_make_directories(scratch_path("gone")));
    cr_assert(symlink("../kept", scratch_path("gone/link")) == 0);
    check_ok(lng_remove_tree(scratch_path("gone")));
    cr_assert(lng_file_exists(scratch_path("kept/file")) && !lng_file_exists(scratch_path("gone")));
}

Test(file, atomic_write_appears_whole)
{
    const char *path = scratch_write("out", "old", 3);
    cr_assert(chmod(path, 0640) == 0);
    struct lng_atomic_file file;
    check_ok(lng_atomic_open(&file, path));
    check_ok(lng_atomic_write(&file, "new ", 4));
    static char large[200000];
    memset(large, 'x', sizeof large);
    check_ok(lng_atomic_write(&file, large, sizeof large));
    check_ok(lng_atomic_write(&file, "end", 3));
    cr_assert(file.written == 200007);
    expect_content(path, "old");
    cr_assert(scratch_count() == 2);
    check_ok(lng_atomic_commit(&file));
    lng_atomic_discard(&file);
    cr_assert(scratch_count() == 1);
    struct lng_buffer content = {0};
    check_ok(lng_file_read(path, 1 << 20, &content));
    cr_assert(content.length == 200007 && memcmp(content.data, "new xxx", 7) == 0);
    cr_assert_str_eq(content.data + 200004, "end");
    lng_buffer_release(&content);
    struct stat found;
    cr_assert(stat(path, &found) == 0 && (found.st_mode & 0777) == 0640);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(file, atomic_discard_keeps_the_old)
{
    const char *path = scratch_write("out", "old", 3);
    struct lng_atomic_file file;
    check_ok(lng_atomic_open(&file, path));
    check_ok(lng_atomic_write(&file, "new", 3));
    lng_atomic_discard(&file);
    expect_content(path, "old");
    cr_assert(scratch_count() == 1 && lng_mem_get_stats().blocks_live == 0);
}

Test(file, two_writers_of_one_path)
{
    const char *path = scratch_path("out");
    struct lng_atomic_file a, b;
    check_ok(lng_atomic_open(&a, path));
    check_ok(lng_atomic_open(&b, path));
    check_ok(lng_atomic_write(&a, "a", 1));
    check_ok(lng_atomic_write(&b, "b", 1));
    check_ok(lng_atomic_commit(&b));
    check_ok(lng_atomic_commit(&a));
    expect_content(path, "a");
    cr_assert(scratch_count() == 1);
}

Test(file, a_full_disk_is_an_error)
{
    char block[100] = {0};
    check_fails(lng_file_write("/dev/full", block, sizeof block), LNG_ERR_IO, "No space left");
    struct stat found;
    cr_assert(stat("/dev/full", &found) == 0 && S_ISCHR(found.st_mode));
    check_ok(lng_file_write("/dev/null", block, sizeof block));
    cr_assert(stat("/dev/null", &found) == 0 && S_ISCHR(found.st_mode));
}

Test(file, a_failed_write_leaves_the_old)
{
    const char *path = scratch_write("out", "old", 3);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {1 << 16, 1 << 16};
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    static char large[1 << 18];
    check_fails(lng_file_write(path, large, sizeof large), LNG_ERR_IO, "File too large");
    expect_content(path, "old");
    cr_assert(scratch_count() == 1);
}

Test(file, atomic_open_fails_well)
{
    struct lng_atomic_file file = {0};
    check_fails(lng_atomic_open(&file, scratch_path("no/such/out")), LNG_ERR_IO, "No such file");
    check_fails(lng_atomic_open(&file, scratch_path(".")), LNG_ERR_IO, "folder");
    for (size_t n = 1; n <= 4; n++) {
        lng_mem_fail_nth(n, 0);
        cr_assert(lng_atomic_open(&file, scratch_path("out")) == LNG_ERR_MEMORY ||
                  file.path != NULL);
        lng_mem_fail_nth(0, 0);
        lng_atomic_discard(&file);
    }
    cr_assert(scratch_count() == 0 && lng_mem_get_stats().blocks_live == 0);
}

Test(file, links_are_followed)
{
    scratch_write("real", "old", 3);
    cr_assert(symlink("real", scratch_path("link")) == 0);
    check_ok(lng_file_write(scratch_path("link"), "new", 3));
    expect_content(scratch_path("real"), "new");
    struct stat found;
    cr_assert(lstat(scratch_path("link"), &found) == 0 && S_ISLNK(found.st_mode));
}

Test(file, a_bare_name_is_written_in_the_current_folder)
{
    cr_assert(chdir(scratch_path(".")) == 0);
    check_ok(lng_file_write("bare", "1", 1));
    expect_content(scratch_path("bare"), "1");
}

/* The number of a process that has just ended. */
static pid_t dead_process(void)
{
    pid_t pid;
    char *arguments[] = {"true", NULL};
    cr_assert(posix_spawnp(&pid, "true", NULL, NULL, arguments, NULL) == 0);
    cr_assert(waitpid(pid, NULL, 0) == pid);
    return pid;
}

Test(file, sweep_removes_only_what_the_dead_left)
{
    struct lng_atomic_file file;
    check_ok(lng_atomic_open(&file, scratch_path("model")));
    const char *live = lng_path_name(file.temporary);
    unsigned host;
    long pid;
    unsigned n;
    cr_assert(sscanf(live, "model.tmp-%8x-%ld-%u", &host, &pid, &n) == 3 && pid == getpid());
    char name[64];
    snprintf(name, sizeof name, "model.tmp-%08x-%ld-0", host, (long)dead_process());
    scratch_write(name, "x", 1);
    snprintf(name, sizeof name, "run.tmp-%08x-%ld-0", host, (long)dead_process());
    check_ok(lng_make_directories(scratch_path(name)));
    scratch_write("notes.tmp-of-mine", "x", 1);
    snprintf(name, sizeof name, "model.tmp-%08x-%ld-0", host ^ 1u, (long)dead_process());
    scratch_write(name, "x", 1);
    cr_assert(lng_atomic_sweep(scratch_path(".")) == 2);
    cr_assert(scratch_count() == 3);
    struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
    cr_assert(utimensat(AT_FDCWD, scratch_path(name), old, 0) == 0);
    cr_assert(lng_atomic_sweep(scratch_path(".")) == 1);
    cr_assert(lng_file_exists(scratch_path("notes.tmp-of-mine")));
    check_ok(lng_atomic_commit(&file));
    cr_assert(lng_atomic_sweep(scratch_path("none")) == 0);
}

Test(file, folder_is_replaced_whole)
{
    const char *path = scratch_path("model");
    struct lng_atomic_directory directory;
    for (int round = 0; round < 2; round++) {
        check_ok(lng_atomic_directory_open(&directory, path));
        cr_assert(lng_file_exists(path) == (round > 0));
        char *inside = lng_path_join(directory.temporary, round ? "second" : "first");
        check_ok(lng_file_write(inside, "1", 1));
        lng_free(inside);
        check_ok(lng_atomic_directory_commit(&directory));
        cr_assert(scratch_count() == 1);
    }
    cr_assert(lng_file_exists(scratch_path("model/second")));
    cr_assert(!lng_file_exists(scratch_path("model/first")));
    check_ok(lng_atomic_directory_open(&directory, path));
    lng_atomic_directory_discard(&directory);
    lng_atomic_directory_discard(&directory);
    cr_assert(scratch_count() == 1 && lng_mem_get_stats().blocks_live == 0);
}

Test(file, folder_over_a_file_is_refused)
{
    struct lng_atomic_directory directory;
    check_fails(lng_atomic_directory_open(&directory, scratch_write("f", "1", 1)), LNG_ERR_IO,
                "a file of that name");
    check_fails(lng_atomic_directory_open(&directory, scratch_path("no/dir")), LNG_ERR_IO,
                "No such file");
}

Test(file, stdout_on_a_full_disk_is_noticed)
{
    check_ok(lng_stdout_finish());
    cr_assert(freopen("/dev/full", "w", stdout) != NULL);
    printf("lost");
    check_fails(lng_stdout_finish(), LNG_ERR_IO, "No space left");
    check_fails(lng_stdout_finish(), LNG_ERR_IO, "standard output");
}
