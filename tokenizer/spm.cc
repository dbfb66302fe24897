// The wrapper of libsentencepiece, and the only C++ of the project. Every entry runs inside guarded(), so that
// no exception reaches C; every id is checked first, because the library aborts on a bad one.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

extern "C" {
#include "host/base/file.h"
#include "tokenizer/spm.h"
#include "tokenizer/spm_options.h"
}

using sentencepiece::SentencePieceProcessor;
namespace util = sentencepiece::util;

struct lng_spm {
    SentencePieceProcessor processor;
    struct lng_spm_info info;
    std::string bytes;
};

struct lng_spm_nbest {
    sentencepiece::ImmutableNBestSentencePieceText candidates;
};

namespace
{

// Runs `body`; whatever it throws becomes a status with a message.
template <typename Body> enum lng_status guarded(const char *what, Body body) noexcept
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return lng_fail(LNG_ERR_MEMORY, "no memory while %s", what);
    } catch (const std::exception &error) {
        return lng_fail(LNG_ERR_INTERNAL, "SentencePiece failed while %s: %s", what, error.what());
    } catch (...) {
        return lng_fail(LNG_ERR_INTERNAL, "SentencePiece failed while %s", what);
    }
}

enum lng_status from_library(const util::Status &status, enum lng_status code, const char *what)
{
    if (status.ok())
        return LNG_OK;
    return lng_fail(code, "SentencePiece refused while %s: %.500s", what, status.error_message());
}

enum lng_status check_text(size_t length)
{
    LNG_FAIL_IF(
        length > LNG_SPM_MAX_TEXT_BYTES, LNG_ERR_RANGE,
        "a text of %zu bytes is too long for SentencePiece (at most %d): split it into lines",
        length, LNG_SPM_MAX_TEXT_BYTES);
    return LNG_OK;
}

absl::string_view view_of(const char *text, size_t length)
{
    return length > 0 ? absl::string_view(text, length) : absl::string_view("", 0);
}

// Bytes to encode at once: all, or up to the last space, or whole characters, within LNG_SPM_CHUNK_BYTES. The
// library takes quadratic time over a run of unknown characters.
size_t chunk_length(const char *text, size_t length)
{
    if (length <= LNG_SPM_CHUNK_BYTES)
        return length;
    const void *space = memrchr(text, ' ', LNG_SPM_CHUNK_BYTES);
    if (space != nullptr && space != text)
        return static_cast<size_t>(static_cast<const char *>(space) - text);
    size_t end = LNG_SPM_CHUNK_BYTES;
    for (int back = 0; back < 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80; back++)
        end--;
    return end;
}

bool has_id(const struct lng_spm *spm, int32_t id)
{
    return id >= 0 && id < spm->info.pieces;
}

// A later part's first piece stands for the space before it too, as it would in the whole text.
enum lng_status visit_pieces(const sentencepiece::ImmutableSentencePieceText &encoded, size_t shift,
                             lng_spm_visit visit, void *context)
{
    for (size_t i = 0; i < encoded.pieces_size(); i++) {
        const auto piece = encoded.pieces(static_cast<int>(i));
        const std::string &name = piece.piece();
        const struct lng_spm_token visited = {static_cast<int32_t>(piece.id()),
                                              i > 0 || shift == 0 ? shift + piece.begin() : shift,
                                              shift + piece.end(),
                                              {name.data(), name.size()}};
        LNG_TRY(visit(context, &visited));
    }
    return LNG_OK;
}

} // namespace

enum lng_status lng_spm_open(const void *bytes, size_t size, struct lng_spm **spm)
{
    return guarded("loading a model", [&] {
        struct lng_spm_info info;
        LNG_TRY(lng_spm_check(bytes, size, &info));
        auto fresh = std::make_unique<struct lng_spm>();
        fresh->info = info;
        fresh->bytes.assign(static_cast<const char *>(bytes), size);
        LNG_TRY(from_library(fresh->processor.LoadFromSerializedProto(fresh->bytes), LNG_ERR_FORMAT,
                             "loading a model"));
        LNG_FAIL_IF(fresh->processor.GetPieceSize() != info.pieces, LNG_ERR_FORMAT,
                    "SentencePiece sees %d pieces in a model of %d",
                    fresh->processor.GetPieceSize(), info.pieces);
        *spm = fresh.release();
        return LNG_OK;
    });
}

enum lng_status lng_spm_open_file(const char *path, struct lng_spm **spm)
{
    struct lng_buffer bytes = {};
    enum lng_status status = lng_file_read(path, LNG_SPM_MAX_BYTES, &bytes);
    if (status == LNG_OK) {
        status = lng_spm_open(bytes.data, bytes.length, spm);
        if (status != LNG_OK)
            status = lng_fail_context(status, "%s", path);
    }
    lng_buffer_release(&bytes);
    return status;
}

void lng_spm_close(struct lng_spm *spm)
{
    delete spm;
}

const struct lng_spm_info *lng_spm_get_info(const struct lng_spm *spm)
{
    return &spm->info;
}

const void *lng_spm_bytes(const struct lng_spm *spm, size_t *size)
{
    *size = spm->bytes.size();
    return spm->bytes.data();
}

const char *lng_spm_piece(const struct lng_spm *spm, int32_t id, size_t *length)
{
    const char *name = nullptr;
    size_t bytes = 0;
    (void)guarded("looking up a piece", [&] {
        if (has_id(spm, id)) {
            const std::string &piece = spm->processor.IdToPiece(id);
            name = piece.c_str();
            bytes = piece.size();
        }
        return LNG_OK;
    });
    if (length != nullptr)
        *length = bytes;
    return name;
}

enum lng_spm_kind lng_spm_piece_kind(const struct lng_spm *spm, int32_t id)
{
    auto kind = static_cast<enum lng_spm_kind>(0);
    (void)guarded("looking up a piece", [&] {
        const SentencePieceProcessor &processor = spm->processor;
        if (!has_id(spm, id))
            return LNG_OK;
        kind = processor.IsUnknown(id)   ? LNG_SPM_UNKNOWN
               : processor.IsControl(id) ? LNG_SPM_CONTROL
               : processor.IsUnused(id)  ? LNG_SPM_UNUSED
               : processor.IsByte(id)    ? LNG_SPM_BYTE
                                         : LNG_SPM_NORMAL;
        return LNG_OK;
    });
    return kind;
}

int32_t lng_spm_id(const struct lng_spm *spm, const char *piece, size_t length)
{
    int32_t id = -1;
    (void)guarded("looking up a piece", [&] {
        // An unknown piece gets the unknown id: only its own name proves it.
        const int found = spm->processor.PieceToId(view_of(piece, length));
        if (has_id(spm, found)) {
            const std::string &name = spm->processor.IdToPiece(found);
            if (name.size() == length && std::memcmp(name.data(), piece, length) == 0)
                id = found;
        }
        return LNG_OK;
    });
    return id;
}

enum lng_status lng_spm_encode_pieces(const struct lng_spm *spm, const char *text, size_t length,
                                      lng_spm_visit visit, void *context)
{
    return guarded("encoding a text", [&] {
        LNG_TRY(check_text(length));
        for (size_t begin = 0, end; begin < length; begin = end) {
            end = begin + chunk_length(text + begin, length - begin);
            sentencepiece::ImmutableSentencePieceText encoded;
            LNG_TRY(from_library(
                spm->processor.Encode(view_of(text + begin, end - begin), encoded.mutable_proto()),
                LNG_ERR_INTERNAL, "encoding a text"));
            LNG_TRY(visit_pieces(encoded, begin, visit, context));
        }
        return LNG_OK;
    });
}

static enum lng_status push_id(void *context, const struct lng_spm_token *piece)
{
    return lng_ids_push(static_cast<struct lng_ids *>(context), piece->id);
}

enum lng_status lng_spm_encode(const struct lng_spm *spm, const char *text, size_t length,
                               struct lng_ids *ids)
{
    const size_t before = ids->count;
    const enum lng_status status = lng_spm_encode_pieces(spm, text, length, push_id, ids);
    if (status != LNG_OK)
        ids->count = before;
    return status;
}

enum lng_status lng_spm_nbest_open(const struct lng_spm *spm, const char *text, size_t length,
                                   int n, struct lng_spm_nbest **nbest)
{
    return guarded("listing the best segmentations", [&] {
        LNG_TRY(check_text(length));
        LNG_FAIL_IF(
            spm->info.model_type != LNG_SPM_UNIGRAM, LNG_ERR_UNSUPPORTED,
            "n-best segmentation (and subword sampling) needs a unigram SentencePiece model; "
            "this one is %s: train with model type unigram, or switch sampling off",
            spm->info.model_type == LNG_SPM_BPE    ? "BPE"
            : spm->info.model_type == LNG_SPM_WORD ? "a word model"
                                                   : "a character model");
        LNG_FAIL_IF(length > LNG_SPM_CHUNK_BYTES, LNG_ERR_RANGE,
                    "a text of %zu bytes is too long for n-best segmentation (at most %d)", length,
                    LNG_SPM_CHUNK_BYTES);
        LNG_FAIL_IF(n < 1 || n > LNG_SPM_MAX_NBEST, LNG_ERR_RANGE,
                    "%d best segmentations asked for, expected 1 to %d", n, LNG_SPM_MAX_NBEST);
        auto fresh = std::make_unique<struct lng_spm_nbest>();
        LNG_TRY(from_library(
            spm->processor.NBestEncode(view_of(text, length), n, fresh->candidates.mutable_proto()),
            LNG_ERR_INTERNAL, "listing the best segmentations"));
        LNG_FAIL_IF(fresh->candidates.nbests_size() == 0, LNG_ERR_INTERNAL,
                    "SentencePiece found no segmentation of a text of %zu bytes", length);
        *nbest = fresh.release();
        return LNG_OK;
    });
}

size_t lng_spm_nbest_count(const struct lng_spm_nbest *nbest)
{
    size_t count = 0;
    (void)guarded("counting segmentations", [&] {
        count = nbest->candidates.nbests_size();
        return LNG_OK;
    });
    return count;
}

double lng_spm_nbest_score(const struct lng_spm_nbest *nbest, size_t index)
{
    double score = -__builtin_inf();
    (void)guarded("scoring a segmentation", [&] {
        if (index < nbest->candidates.nbests_size())
            score = static_cast<double>(nbest->candidates.nbests(static_cast<int>(index)).score());
        return LNG_OK;
    });
    return score;
}

enum lng_status lng_spm_nbest_pieces(const struct lng_spm_nbest *nbest, size_t index,
                                     lng_spm_visit visit, void *context)
{
    return guarded("reading a segmentation", [&] {
        LNG_FAIL_IF(index >= nbest->candidates.nbests_size(), LNG_ERR_RANGE,
                    "segmentation %zu of %zu asked for", index, nbest->candidates.nbests_size());
        return visit_pieces(nbest->candidates.nbests(static_cast<int>(index)), 0, visit, context);
    });
}

void lng_spm_nbest_close(struct lng_spm_nbest *nbest)
{
    delete nbest;
}

enum lng_status lng_spm_decode(const struct lng_spm *spm, const int32_t *ids, size_t count,
                               struct lng_buffer *text)
{
    return guarded("decoding ids", [&] {
        for (size_t i = 0; i < count; i++)
            LNG_FAIL_IF(!has_id(spm, ids[i]), LNG_ERR_RANGE,
                        "id %d at position %zu, expected 0 to %d", ids[i], i, spm->info.pieces - 1);
        std::string decoded;
        LNG_TRY(from_library(spm->processor.Decode(std::vector<int>(ids, ids + count), &decoded),
                             LNG_ERR_INTERNAL, "decoding ids"));
        return lng_buffer_append(text, decoded.data(), decoded.size());
    });
}

enum lng_status lng_spm_decode_pieces(const struct lng_spm *spm, const struct lng_slice *pieces,
                                      size_t count, struct lng_buffer *text)
{
    return guarded("decoding pieces", [&] {
        std::vector<std::string> names;
        names.reserve(count);
        for (size_t i = 0; i < count; i++)
            names.emplace_back(pieces[i].length > 0 ? pieces[i].data : "", pieces[i].length);
        std::string decoded;
        LNG_TRY(from_library(spm->processor.Decode(names, &decoded), LNG_ERR_INTERNAL,
                             "decoding pieces"));
        return lng_buffer_append(text, decoded.data(), decoded.size());
    });
}

// ---- training ----

namespace
{

// U+2585, with which the trainer marks unknown characters; it drops such lines silently.
const char RESERVED[] = "\xE2\x96\x85";

// Feeds the corpus to the trainer and counts what it leaves out.
class Corpus : public sentencepiece::SentenceIterator
{
  public:
    Corpus(lng_next_line next, void *context, int max_line_bytes,
           struct lng_spm_train_report *report)
        : next_(next), context_(context), max_line_bytes_(static_cast<size_t>(max_line_bytes)),
          report_(report)
    {
        Next();
    }
    bool done() const override
    {
        return done_;
    }
    const std::string &value() const override
    {
        return line_;
    }
    util::Status status() const override
    {
        return failure_ == LNG_OK ? util::Status()
                                  : util::Status(util::StatusCode::kAborted, "the corpus ended");
    }
    enum lng_status failure() const
    {
        return failure_;
    }
    void Next() override
    {
        const char *text = nullptr;
        size_t length = 0;
        bool got = false;
        while ((failure_ = next_(context_, &text, &length, &got)) == LNG_OK && got) {
            report_->lines++;
            if (!usable(text, length))
                continue;
            report_->used++;
            line_.assign(text, length);
            return;
        }
        done_ = true;
    }

  private:
    bool usable(const char *text, size_t length)
    {
        uint64_t *reason = nullptr;
        if (length > max_line_bytes_)
            reason = &report_->too_long;
        else if (length > 0 && std::memchr(text, 0, length) != nullptr)
            reason = &report_->with_nul;
        else if (!lng_utf8_valid(text, length))
            reason = &report_->invalid_utf8;
        else if (!lng_spm_line_has_text(text, length))
            reason = &report_->empty;
        else if (memmem(text, length, RESERVED, 3) != nullptr)
            reason = &report_->reserved;
        if (reason != nullptr)
            ++*reason;
        return reason == nullptr;
    }

    lng_next_line next_;
    void *context_;
    size_t max_line_bytes_;
    struct lng_spm_train_report *report_;
    std::string line_;
    bool done_ = false;
    enum lng_status failure_ = LNG_OK;
};

enum lng_status set_argument(void *context, const char *key, const char *value)
{
    return guarded("preparing to train", [&] {
        (*static_cast<std::unordered_map<std::string, std::string> *>(context))[key] = value;
        return LNG_OK;
    });
}

// The library's advice is in its words only: "... to a value <= N", "... X vs N".
int number_after(const char *message, const char *mark)
{
    const char *found = std::strstr(message, mark);
    const long value = found == nullptr ? 0 : std::strtol(found + std::strlen(mark), nullptr, 10);
    return value > 0 && value <= LNG_SPM_MAX_PIECES ? static_cast<int>(value) : 0;
}

enum lng_status explain(const util::Status &status, const struct lng_spm_train_options *options,
                        struct lng_spm_train_report *report)
{
    const char *message = status.error_message();
    if (std::strstr(message, "too high") != nullptr)
        report->largest_vocab_size = number_after(message, "value <= ");
    if (std::strstr(message, "smaller than required_chars") != nullptr)
        report->smallest_vocab_size = number_after(message, " vs ");
    LNG_FAIL_IF(
        report->largest_vocab_size > 0, LNG_ERR_RANGE,
        "a vocabulary of %d pieces is more than this corpus of %llu lines can give: use %d or "
        "less, more text, or switch the hard limit off",
        options->vocab_size, static_cast<unsigned long long>(report->used),
        report->largest_vocab_size);
    LNG_FAIL_IF(
        report->smallest_vocab_size > 0, LNG_ERR_RANGE,
        "a vocabulary of %d pieces cannot hold this corpus's characters: use more than %d, or "
        "lower the character coverage (%g)",
        options->vocab_size, report->smallest_vocab_size, options->character_coverage);
    return lng_fail(status.code() == util::StatusCode::kInternal ? LNG_ERR_INTERNAL : LNG_ERR_RANGE,
                    "SentencePiece could not train: %.500s", message);
}

enum lng_status train(const struct lng_spm_train_options *options, lng_next_line next,
                      void *context, struct lng_buffer *model, struct lng_spm_train_report *report)
{
    static std::mutex one_at_a_time; // the library's random seed and log level are global
    std::unordered_map<std::string, std::string> arguments;
    LNG_TRY(lng_spm_train_arguments(options, set_argument, &arguments));
    const std::lock_guard<std::mutex> held(one_at_a_time);
    Corpus corpus(next, context, options->max_line_bytes, report);
    LNG_TRY(corpus.failure());
    LNG_FAIL_IF(
        corpus.done(), LNG_ERR_FORMAT,
        "no usable line to train SentencePiece on: %llu lines, %llu empty, %llu longer than %d "
        "bytes, %llu with NUL bytes, %llu not UTF-8",
        static_cast<unsigned long long>(report->lines),
        static_cast<unsigned long long>(report->empty),
        static_cast<unsigned long long>(report->too_long), options->max_line_bytes,
        static_cast<unsigned long long>(report->with_nul),
        static_cast<unsigned long long>(report->invalid_utf8));
    std::string trained;
    sentencepiece::SetRandomGeneratorSeed(options->seed);
    const util::Status status =
        sentencepiece::SentencePieceTrainer::Train(arguments, &corpus, &trained);
    LNG_TRY(corpus.failure());
    if (!status.ok())
        return explain(status, options, report);
    LNG_TRY(lng_spm_check(trained.data(), trained.size(), nullptr));
    return lng_buffer_append(model, trained.data(), trained.size());
}

} // namespace

enum lng_status lng_spm_train(const struct lng_spm_train_options *options, lng_next_line next,
                              void *context, struct lng_buffer *model,
                              struct lng_spm_train_report *report)
{
    struct lng_spm_train_report counted = {};
    const enum lng_status status =
        guarded("training a model", [&] { return train(options, next, context, model, &counted); });
    if (report != nullptr)
        *report = counted;
    return status;
}
