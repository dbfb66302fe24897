#include "host/store/opus_package.h"

#include <string.h>
#include <zip.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/blob.h"

enum { PIECE_BYTES = 64 << 10, SCRIPT_BYTES = 64 << 10 };

bool lng_opus_is_package(const char *path)
{
    struct lng_file_info info;
    return lng_text_ends_in(path, ".zip") && lng_file_get_info(path, &info) == LNG_OK &&
           info.regular;
}

/* ---- members ---- */

/* What a model needs; everything else stays packed. */
static bool is_wanted(const char *name)
{
    static const char *const ends[] = {".npz", ".yml", ".spm", ".txt"};
    if (strcmp(name, "preprocess.sh") == 0)
        return true;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (lng_text_ends_in(name, ends[i]) && name[0] != '.')
            return true;
    return false;
}

/* Relative, without "..", and of characters that a terminal can show. */
static bool is_safe(const char *name)
{
    if (*name == '/' || *name == '\0' || !lng_utf8_valid(name, strlen(name)))
        return false;
    for (const char *at = name; *at; at++) {
        bool start = at == name || at[-1] == '/';
        if ((unsigned char)*at < ' ' || *at == 0x7F || *at == '\\' || *at == ':' ||
            (start && strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0')))
            return false;
    }
    return true;
}

struct package {
    const char *path;
    zip_t *zip;
    uint64_t left; /* bytes it may still unpack to */
    const struct lng_opus_sink *sink;
};

static enum lng_status copy(const struct package *package, const zip_stat_t *member,
                            zip_file_t *from)
{
    uint64_t written = 0;
    enum lng_status status = LNG_OK;
    size_t most = member->size < PIECE_BYTES ? (size_t)member->size + 1 : PIECE_BYTES;
    char *piece = lng_alloc(most, 1);
    if (!piece)
        return LNG_ERR_MEMORY;
    for (;;) {
        zip_int64_t got = zip_fread(from, piece, most);
        LNG_GOTO_FAIL_IF(got < 0, LNG_ERR_FORMAT, "%s: member \"%s\" is damaged: %s", package->path,
                         member->name, zip_file_strerror(from));
        if (got == 0)
            break;
        written += (uint64_t)got;
        LNG_GOTO_FAIL_IF(written > member->size, LNG_ERR_FORMAT,
                         "%s: member \"%s\" unpacks to more than the %llu bytes it claims",
                         package->path, member->name, (unsigned long long)member->size);
        LNG_TRY_OR_FAIL(package->sink->write(package->sink->context, piece, (size_t)got));
    }
    LNG_GOTO_FAIL_IF(written != member->size, LNG_ERR_FORMAT,
                     "%s: member \"%s\": expected %llu bytes, found %llu", package->path,
                     member->name, (unsigned long long)member->size, (unsigned long long)written);
fail:
    lng_free(piece);
    return status;
}

static enum lng_status unpack_to_sink(const struct package *package, const zip_stat_t *member,
                                      const char *name)
{
    const struct lng_opus_sink *sink = package->sink;
    zip_file_t *from = zip_fopen_index(package->zip, member->index, 0);
    LNG_FAIL_IF(!from, LNG_ERR_FORMAT, "%s: member \"%s\" cannot be read: %s", package->path,
                member->name, zip_strerror(package->zip));
    enum lng_status status = sink->begin(sink->context, name);
    if (status == LNG_OK) {
        status = copy(package, member, from);
        enum lng_status ended = sink->end(sink->context, status == LNG_OK);
        status = status == LNG_OK ? ended : status;
    }
    zip_fclose(from);
    return status;
}

static enum lng_status unpack_member(struct package *package, zip_uint64_t index)
{
    zip_stat_t member;
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_ENCRYPTION_METHOD;
    LNG_FAIL_IF(zip_stat_index(package->zip, index, ZIP_FL_ENC_RAW, &member) != 0 ||
                    (member.valid & needed) != needed,
                LNG_ERR_FORMAT, "%s: member %llu cannot be read: %s", package->path,
                (unsigned long long)index, zip_strerror(package->zip));
    LNG_FAIL_IF(!is_safe(member.name), LNG_ERR_FORMAT,
                "%s: member %llu has a name that leads out of the package or cannot be shown: it "
                "was not made by OPUS-MT",
                package->path, (unsigned long long)index);
    const char *name = lng_path_name(member.name);
    if (!is_wanted(name))
        return LNG_OK;
    LNG_FAIL_IF(member.encryption_method != ZIP_EM_NONE, LNG_ERR_UNSUPPORTED,
                "%s: member \"%s\" is encrypted", package->path, member.name);
    LNG_FAIL_IF(member.size > package->left, LNG_ERR_RANGE,
                "%s: member \"%s\" of %llu bytes: expected a package that unpacks to no more than "
                "%d times its size",
                package->path, member.name, (unsigned long long)member.size, LNG_OPUS_MOST_RATIO);
    package->left -= member.size;
    return unpack_to_sink(package, &member, name);
}

/* Closes the archive. */
static enum lng_status unpack_all(struct package *package)
{
    enum lng_status status = LNG_OK;
    zip_int64_t count = zip_get_num_entries(package->zip, 0);
    LNG_GOTO_FAIL_IF(count > LNG_OPUS_MOST_MEMBERS, LNG_ERR_RANGE,
                     "%s: expected a package of at most %d files, found %lld", package->path,
                     LNG_OPUS_MOST_MEMBERS, (long long)count);
    for (zip_int64_t i = 0; i < count; i++)
        LNG_TRY_OR_FAIL(unpack_member(package, (zip_uint64_t)i));
fail:
    zip_discard(package->zip);
    return status;
}

static enum lng_status no_package(const char *path, zip_error_t *error)
{
    enum lng_status status =
        lng_fail(zip_error_code_zip(error) == ZIP_ER_MEMORY ? LNG_ERR_MEMORY : LNG_ERR_FORMAT,
                 "%s: expected an OPUS-MT package (ZIP): %s", path, zip_error_strerror(error));
    zip_error_fini(error);
    return status;
}

enum lng_status lng_opus_unpack_memory(const char *name, const void *data, size_t size,
                                       const struct lng_opus_sink *sink)
{
    struct package package = {
        .path = name,
        .left = (uint64_t)size * LNG_OPUS_MOST_RATIO + LNG_OPUS_SPARE_BYTES,
        .sink = sink,
    };
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(data, size, 0, &error);
    if (!source)
        return no_package(name, &error);
    package.zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!package.zip) {
        zip_source_free(source);
        return no_package(name, &error);
    }
    zip_error_fini(&error);
    return unpack_all(&package);
}

/* ---- a folder as what is unpacked to ---- */

struct folder {
    const char *package, *directory;
    struct lng_atomic_file file;
};

static enum lng_status begin_file(void *context, const char *name)
{
    struct folder *folder = context;
    char *path = lng_path_join(folder->directory, name);
    if (!path)
        return LNG_ERR_MEMORY;
    enum lng_status status =
        lng_file_exists(path)
            ? lng_fail(LNG_ERR_FORMAT, "%s: holds two files called %s", folder->package, name)
            : lng_atomic_open(&folder->file, path);
    lng_free(path);
    return status;
}

static enum lng_status write_file(void *context, const void *data, size_t size)
{
    return lng_atomic_write(&((struct folder *)context)->file, data, size);
}

static enum lng_status end_file(void *context, bool keep)
{
    struct folder *folder = context;
    if (keep)
        return lng_atomic_commit(&folder->file);
    lng_atomic_discard(&folder->file);
    return LNG_OK;
}

enum lng_status lng_opus_unpack(const char *path, const char *directory)
{
    struct folder folder = {.package = path, .directory = directory};
    const struct lng_opus_sink sink = {&folder, begin_file, write_file, end_file};
    struct package package = {.path = path, .sink = &sink};
    struct lng_file_info info;
    int code = 0;
    LNG_TRY(lng_file_get_info(path, &info));
    package.left = info.size * LNG_OPUS_MOST_RATIO + LNG_OPUS_SPARE_BYTES;
    package.zip = zip_open(path, ZIP_RDONLY, &code);
    if (!package.zip) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        return no_package(path, &error);
    }
    return unpack_all(&package);
}

/* ---- preprocess.sh ---- */

static bool holds(const struct lng_buffer *script, const char *text)
{
    return script->length > 0 && strstr(script->data, text) != NULL;
}

enum lng_status lng_opus_read_clean(const char *directory, enum lng_clean *clean,
                                    struct lng_buffer *warnings)
{
    struct lng_buffer script = {0};
    enum lng_status status = LNG_OK;
    char *path = lng_path_join(directory, "preprocess.sh");
    *clean = LNG_CLEAN_NONE;
    if (!path)
        return LNG_ERR_MEMORY;
    if (!lng_file_exists(path))
        goto fail;
    LNG_TRY_OR_FAIL(lng_blob_read_file(path, SCRIPT_BYTES, &script));
    LNG_GOTO_FAIL_IF(holds(&script, "apply_bpe") || holds(&script, ".bpe"), LNG_ERR_UNSUPPORTED,
                     "%s: cuts words by BPE codes (subword-nmt), which are not supported; take a "
                     "package with SentencePiece models (source.spm, target.spm)",
                     path);
    /* Two of its steps stand for all: the packages' scripts do not differ in the others. */
    if (holds(&script, "s/\xEF\xBC\x8C/,/g") && holds(&script, "\\p{C}"))
        *clean = LNG_CLEAN_OPUS_MT;
    else
        status = lng_buffer_append_format(
            warnings,
            "%s: does something that is not known here: text reaches SentencePiece as it is\n",
            path);
fail:
    lng_buffer_release(&script);
    lng_free(path);
    return status;
}
