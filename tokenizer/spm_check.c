#include "tokenizer/spm_check.h"

#include <math.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/base/text.h"
#include "tokenizer/sentencepiece_model.pb-c.h"

enum {
    FIRST_CHUNK_BYTES = 1 << 13, /* each is twice the one before, up to the largest */
    LARGEST_CHUNK_BYTES = 1 << 18,
    /* Parsing costs real models about ten times their size; a file of empty or unknown fields more. */
    MEMORY_FACTOR = 40,
    MEMORY_BASE = 1 << 20,
    MAX_TRIE_BYTES = 4 << 20,
    MIN_TRIE_BYTES = 1024, /* the root's 256 possible children */
    MAX_SELF_TEST_SAMPLES = 20000,
    MAX_SELF_TEST_BYTES = 4 << 20,
    TYPE_NORMAL = 1,
    TYPE_UNKNOWN = 2,
    TYPE_BYTE = 6,
};

/* Memory for protobuf-c: carved from chunks, freed all at once, limited by the size of the input. */
struct chunk {
    struct chunk *next;
    size_t used, capacity;
    max_align_t data[];
};

struct pool {
    struct chunk *chunks;
    size_t left;
    bool no_memory; /* the heap refused, not the limit */
};

static void *pool_take(void *data, size_t size)
{
    struct pool *pool = data;
    size_t rounded = (size + 15) & ~(size_t)15;
    if (rounded < size || rounded > pool->left)
        return NULL;
    struct chunk *chunk = pool->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < rounded) {
        size_t capacity = chunk == NULL ? FIRST_CHUNK_BYTES : 2 * chunk->capacity;
        capacity = capacity < LARGEST_CHUNK_BYTES ? capacity : LARGEST_CHUNK_BYTES;
        capacity = rounded > capacity ? rounded : capacity;
        chunk = lng_alloc(1, sizeof *chunk + capacity);
        pool->no_memory |= chunk == NULL;
        if (chunk == NULL)
            return NULL;
        chunk->capacity = capacity;
        chunk->next = pool->chunks;
        pool->chunks = chunk;
    }
    void *taken = (char *)chunk->data + chunk->used;
    chunk->used += rounded;
    pool->left -= rounded;
    return taken;
}

static void pool_give(void *data, void *memory)
{
    (void)data;
    (void)memory;
}

static void pool_release(struct pool *pool)
{
    while (pool->chunks != NULL) {
        struct chunk *chunk = pool->chunks;
        pool->chunks = chunk->next;
        lng_free(chunk);
    }
}

/* Darts unit: bits 0-7 label, 8 has a value, 9 and 10-31 offset, 31 marks a value unit. */
static uint32_t unit_offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

struct trie {
    const unsigned char *units;
    size_t count;
    const char *replacements;
    size_t replacement_bytes;
};

static uint32_t trie_unit(const struct trie *trie, size_t index)
{
    return lng_load_u32(trie->units + 4 * index);
}

/* A node's children lie at base ^ byte, its value at base. */
static enum lng_status check_node(const struct trie *trie, uint32_t unit, uint32_t base)
{
    LNG_FAIL_IF((base | 255u) >= trie->count, LNG_ERR_FORMAT,
                "the normalisation table points at unit %u of %zu: the file is damaged",
                base | 255u, trie->count);
    if (((unit >> 8) & 1u) == 0)
        return LNG_OK;
    uint32_t value = trie_unit(trie, base) & 0x7FFFFFFFu;
    LNG_FAIL_IF(
        value >= trie->replacement_bytes, LNG_ERR_FORMAT,
        "the normalisation table points at byte %u of %zu bytes of replacements: the file is "
        "damaged",
        value, trie->replacement_bytes);
    LNG_FAIL_IF(
        ((unsigned char)trie->replacements[value] & 0xC0) == 0x80, LNG_ERR_FORMAT,
        "a replacement of the normalisation table starts inside a character, at byte %u: the "
        "file is damaged",
        value);
    return LNG_OK;
}

/* Visits every node that a look-up can reach. `seen` has a byte for each unit, `queue` a slot. */
static enum lng_status walk_trie(const struct trie *trie, unsigned char *seen, uint32_t *queue)
{
    uint32_t root = trie_unit(trie, 0);
    size_t head = 0, tail = 0;
    LNG_TRY(check_node(trie, root & ~(1u << 8), unit_offset(root)));
    queue[tail++] = unit_offset(root);
    seen[unit_offset(root)] = 1;
    while (head < tail) {
        uint32_t base = queue[head++];
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t child = base ^ byte;
            uint32_t unit = trie_unit(trie, child);
            if ((unit & (1u << 31 | 0xFFu)) != byte)
                continue;
            uint32_t next = child ^ unit_offset(unit);
            LNG_TRY(check_node(trie, unit, next));
            if (!seen[next]) {
                seen[next] = 1;
                queue[tail++] = next;
            }
        }
    }
    return LNG_OK;
}

enum lng_status lng_spm_check_charsmap(const unsigned char *table, size_t size)
{
    if (size == 0)
        return LNG_OK;
    LNG_FAIL_IF(size < 4, LNG_ERR_FORMAT,
                "the normalisation table has %zu bytes, expected at least 4", size);
    size_t trie_bytes = lng_load_u32(table);
    LNG_FAIL_IF(trie_bytes % 4 != 0 || trie_bytes < MIN_TRIE_BYTES || trie_bytes > MAX_TRIE_BYTES,
                LNG_ERR_FORMAT,
                "the normalisation trie has %zu bytes, expected a multiple of 4 from %d to %d",
                trie_bytes, MIN_TRIE_BYTES, MAX_TRIE_BYTES);
    LNG_FAIL_IF(trie_bytes >= size - 4, LNG_ERR_FORMAT,
                "the normalisation trie claims %zu bytes of a table of %zu: the file is damaged",
                trie_bytes, size);
    struct trie trie = {.units = table + 4,
                        .count = trie_bytes / 4,
                        .replacements = (const char *)table + 4 + trie_bytes,
                        .replacement_bytes = size - 4 - trie_bytes};
    LNG_FAIL_IF(
        trie.replacements[trie.replacement_bytes - 1] != '\0', LNG_ERR_FORMAT,
        "the replacements of the normalisation table do not end in NUL: the file is damaged");
    LNG_FAIL_IF(!lng_utf8_valid(trie.replacements, trie.replacement_bytes), LNG_ERR_FORMAT,
                "the replacements of the normalisation table are not UTF-8: the file is damaged");
    unsigned char *seen = lng_alloc(trie.count, 1);
    uint32_t *queue = lng_alloc(trie.count, sizeof *queue);
    enum lng_status status =
        seen == NULL || queue == NULL ? LNG_ERR_MEMORY : walk_trie(&trie, seen, queue);
    lng_free(seen);
    lng_free(queue);
    return status;
}

/* <0x00> .. <0xFF>, upper case; -1 for anything else. */
static int byte_of_piece(const ProtobufCBinaryData *piece)
{
    static const char digits[] = "0123456789ABCDEF";
    if (piece->len != 6 || memcmp(piece->data, "<0x", 3) != 0 || piece->data[5] != '>')
        return -1;
    const char *high = memchr(digits, piece->data[3], 16),
               *low = memchr(digits, piece->data[4], 16);
    return high == NULL || low == NULL ? -1 : (int)(16 * (high - digits) + (low - digits));
}

static enum lng_status check_piece(const Lng__SpmPiece *piece, size_t index)
{
    LNG_FAIL_IF(piece->piece.len < 1 || piece->piece.len > LNG_SPM_MAX_PIECE_BYTES, LNG_ERR_FORMAT,
                "piece %zu has %zu bytes, expected 1 to %d", index, piece->piece.len,
                LNG_SPM_MAX_PIECE_BYTES);
    const char *text = (const char *)piece->piece.data;
    LNG_FAIL_IF(memchr(text, 0, piece->piece.len) != NULL, LNG_ERR_FORMAT,
                "piece %zu holds a NUL byte", index);
    LNG_FAIL_IF(!lng_utf8_valid(text, piece->piece.len), LNG_ERR_FORMAT,
                "piece %zu is not valid UTF-8", index);
    /* Sums over a line must stay finite too. */
    LNG_FAIL_IF(!(fabsf(piece->score) <= 1e9f), LNG_ERR_FORMAT,
                "piece %zu has score %g, expected a finite number within 1e9", index,
                (double)piece->score);
    LNG_FAIL_IF(piece->type < TYPE_NORMAL || piece->type > TYPE_BYTE, LNG_ERR_FORMAT,
                "piece %zu has type %d, expected 1 to 6", index, piece->type);
    return LNG_OK;
}

static enum lng_status check_pieces(const Lng__SpmModel *model, struct lng_spm_info *info)
{
    unsigned char byte_seen[256] = {0};
    size_t bytes = 0, unknowns = 0;
    LNG_FAIL_IF(model->n_pieces < LNG_SPM_MIN_PIECES || model->n_pieces > LNG_SPM_MAX_PIECES,
                LNG_ERR_FORMAT, "%zu pieces, expected %d to %d", model->n_pieces,
                LNG_SPM_MIN_PIECES, LNG_SPM_MAX_PIECES);
    for (size_t i = 0; i < model->n_pieces; i++) {
        const Lng__SpmPiece *piece = model->pieces[i];
        LNG_TRY(check_piece(piece, i));
        if (piece->type == TYPE_UNKNOWN) {
            LNG_FAIL_IF(++unknowns > 1, LNG_ERR_FORMAT,
                        "pieces %d and %zu are both of type UNKNOWN, expected exactly one",
                        info->unknown_id, i);
            info->unknown_id = (int32_t)i;
        } else if (piece->type == TYPE_BYTE) {
            int byte = byte_of_piece(&piece->piece);
            LNG_FAIL_IF(byte < 0 || byte_seen[byte], LNG_ERR_FORMAT,
                        "byte piece %zu is '%.*s', expected <0x00> to <0xFF>, each once", i,
                        (int)(piece->piece.len > 32 ? 32 : piece->piece.len),
                        (const char *)piece->piece.data);
            byte_seen[byte] = 1;
            bytes++;
        }
    }
    LNG_FAIL_IF(unknowns == 0, LNG_ERR_FORMAT, "no piece is of type UNKNOWN, expected exactly one");
    LNG_FAIL_IF(bytes != (info->byte_fallback ? 256 : 0), LNG_ERR_FORMAT,
                "byte fallback is %s but there are %zu byte pieces, expected %d",
                info->byte_fallback ? "on" : "off", bytes, info->byte_fallback ? 256 : 0);
    info->pieces = (int32_t)model->n_pieces;
    return LNG_OK;
}

static enum lng_status check_self_test(const Lng__SpmSelfTest *self_test)
{
    size_t bytes = 0;
    if (self_test == NULL)
        return LNG_OK;
    LNG_FAIL_IF(self_test->n_samples > MAX_SELF_TEST_SAMPLES, LNG_ERR_FORMAT,
                "%zu self-test samples, expected at most %d", self_test->n_samples,
                MAX_SELF_TEST_SAMPLES);
    for (size_t i = 0; i < self_test->n_samples; i++)
        bytes += self_test->samples[i]->input.len + self_test->samples[i]->expected.len;
    LNG_FAIL_IF(bytes > MAX_SELF_TEST_BYTES, LNG_ERR_FORMAT,
                "self-test samples of %zu bytes, expected at most %d", bytes, MAX_SELF_TEST_BYTES);
    return LNG_OK;
}

static enum lng_status check_model(const Lng__SpmModel *model, struct lng_spm_info *info)
{
    LNG_FAIL_IF(model->trainer == NULL || model->normalizer == NULL, LNG_ERR_FORMAT,
                "the %s section is missing: the file was cut, or it is no SentencePiece model",
                model->trainer == NULL ? "trainer" : "normalizer");
    int32_t type = model->trainer->model_type;
    LNG_FAIL_IF(type < LNG_SPM_UNIGRAM || type > LNG_SPM_CHAR, LNG_ERR_FORMAT,
                "model type %d, expected 1 (unigram), 2 (bpe), 3 (word) or 4 (char)", type);
    info->model_type = (enum lng_spm_model_type)type;
    info->byte_fallback = model->trainer->byte_fallback != 0;
    info->num_threads = model->trainer->has_num_threads ? model->trainer->num_threads : 0;
    LNG_TRY(check_pieces(model, info));
    LNG_TRY(lng_spm_check_charsmap(model->normalizer->precompiled_charsmap.data,
                                   model->normalizer->precompiled_charsmap.len));
    if (model->denormalizer != NULL)
        LNG_TRY(lng_spm_check_charsmap(model->denormalizer->precompiled_charsmap.data,
                                       model->denormalizer->precompiled_charsmap.len));
    return check_self_test(model->self_test);
}

enum lng_status lng_spm_check(const void *bytes, size_t size, struct lng_spm_info *info)
{
    LNG_FAIL_IF(size == 0, LNG_ERR_FORMAT, "the SentencePiece model is empty");
    LNG_FAIL_IF(size > LNG_SPM_MAX_BYTES, LNG_ERR_FORMAT,
                "the SentencePiece model has %zu bytes, expected at most %d", size,
                LNG_SPM_MAX_BYTES);
    struct pool pool = {.left = MEMORY_BASE + size * MEMORY_FACTOR};
    ProtobufCAllocator allocator = {pool_take, pool_give, &pool};
    struct lng_spm_info found = {0};
    enum lng_status status;
    Lng__SpmModel *model = lng__spm_model__unpack(&allocator, size, bytes);
    if (model == NULL && pool.no_memory)
        status = LNG_ERR_MEMORY;
    else if (model == NULL)
        status =
            lng_fail(LNG_ERR_FORMAT,
                     "%zu bytes that are not a SentencePiece model (a cut download, an HTML page, "
                     "a git-lfs pointer?)",
                     size);
    else
        status = check_model(model, &found);
    pool_release(&pool);
    if (status != LNG_OK)
        return status == LNG_ERR_FORMAT ? lng_fail_context(status, "SentencePiece model") : status;
    found.checksum = lng_checksum(bytes, size);
    if (info != NULL)
        *info = found;
    return LNG_OK;
}
