#include "data/token_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/checked.h"

namespace enxuto {
namespace {

struct Header {
  char magic[8] = {'E', 'N', 'X', 'T', 'O', 'K', '0', '1'};
  uint32_t width = 2, has_learned = 0;
  uint64_t vocabulary = 0, fingerprint = 0, n_tokens = 0, n_learned = 0;
  uint64_t documents = 0, empty = 0, corrupt = 0, bytes = 0, malformed_bytes = 0, skipped_files = 0;
  uint8_t zeros[32] = {};
};
static_assert(sizeof(Header) == 128);

constexpr uint64_t kMostVocabulary = uint64_t{1} << 31;
constexpr uint64_t kBlock = kMiB / 4;     // tokens, or bytes of bits, checked at a time
constexpr uint64_t kTouchedBytes = kMiB;  // that the kernel may map around what is read

uint32_t width_for(uint64_t vocabulary) { return vocabulary <= 65536 ? 2 : 4; }

template <class T>
ByteView bytes_of(const T* values, size_t n) {
  return {reinterpret_cast<const uint8_t*>(values), n * sizeof(T)};
}

Status damaged(const std::string& what) {
  return Status::bad_input("the token file " + what, "remove it; it will be made again");
}

OptionalSize bits_offset(const Header& header) {
  return checked_align(checked_add(sizeof(Header), checked_mul(header.n_tokens, header.width)), 8);
}

// Where its parts end, as the header says.
OptionalSize file_bytes(const Header& header) {
  if (!header.has_learned)
    return checked_add(sizeof(Header), checked_mul(header.n_tokens, header.width));
  const OptionalSize words = checked_add(header.n_tokens / 64, header.n_tokens % 64 != 0);
  return checked_add(bits_offset(header), checked_mul(words, 8));
}

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

Result<Header> read_header(ByteView bytes) {
  Header header;
  if (bytes.size() < sizeof header || std::memcmp(bytes.data(), header.magic, 8) != 0)
    return damaged("is none, or of another version");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.vocabulary == 0 || header.vocabulary > kMostVocabulary ||
      header.width != width_for(header.vocabulary) || header.has_learned > 1)
    return damaged("has a header that makes no sense");
  const OptionalSize size = file_bytes(header);
  if (!size || *size != bytes.size())
    return damaged(fmt::format("says {} tokens, but has {} bytes", header.n_tokens, bytes.size()));
  const uint64_t tokens_end = sizeof header + header.n_tokens * header.width;
  const uint64_t padding = header.has_learned ? *bits_offset(header) - tokens_end : 0;
  if (!all_zero(header.zeros) || !all_zero(bytes.subspan(tokens_end, padding)))
    return damaged("has bytes where there are to be zeros");
  return header;
}

DataCounts counts_of(const Header& header) {
  return {.documents = header.documents,
          .empty = header.empty,
          .corrupt = header.corrupt,
          .first_corrupt = {},
          .bytes = header.bytes,
          .malformed_bytes = header.malformed_bytes,
          .skipped_files = header.skipped_files,
          .tokens = header.n_tokens,
          .learned_tokens = header.n_learned};
}

}  // namespace

Result<TokenFile> TokenFile::open(const std::string& path) {
  ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  auto checked = check(file->bytes(), file);
  if (!checked.ok()) return checked.status().in(path);
  return checked;
}

Result<TokenFile> TokenFile::parse(ByteView bytes) { return check(bytes, nullptr); }

Result<TokenFile> TokenFile::check(ByteView bytes, std::shared_ptr<const MappedFile> mapping) {
  ASSIGN_OR_RETURN(const Header header, read_header(bytes));
  TokenFile file;
  file.file_ = std::move(mapping);
  file.width_ = header.width;
  file.vocabulary_ = header.vocabulary;
  file.fingerprint_ = header.fingerprint;
  file.counts_ = counts_of(header);
  file.tokens_ = bytes.subspan(sizeof header, header.n_tokens * header.width);
  if (header.has_learned) file.bits_ = bytes.subspan(*bits_offset(header));
  TRY(file.check_tokens());
  TRY(file.check_learned());
  return file;
}

Token TokenFile::at(uint64_t i) const {
  if (width_ == 4) {
    Token token;
    std::memcpy(&token, tokens_.data() + i * 4, 4);
    return token;
  }
  uint16_t token;
  std::memcpy(&token, tokens_.data() + i * 2, 2);
  return token;
}

Status TokenFile::check_tokens() const {
  uint32_t most = 0;
  for (uint64_t i = 0; i < n_tokens();) {
    const uint64_t begin = i, end = std::min(n_tokens(), i + kBlock);
    for (; i < end; i++) most = std::max(most, static_cast<uint32_t>(at(i)));
    count_read((end - begin) * width_);
  }
  if (most >= vocabulary_)
    return damaged(fmt::format("has token {}, of {} there are", most, vocabulary_));
  return {};
}

Status TokenFile::check_learned() const {
  uint64_t learned = bits_.empty() ? n_tokens() : 0;
  for (uint64_t i = 0; i < bits_.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bits_.data() + i, 8);
    learned += static_cast<uint64_t>(std::popcount(word));
    if (i % kBlock == 0) count_read(kBlock);
    const uint64_t last = n_tokens() % 64;
    if (i + 8 == bits_.size() && last != 0 && word >> last != 0)
      return damaged("learns tokens that it has not");
  }
  if (learned != counts_.learned_tokens)
    return damaged(
        fmt::format("says {} tokens are learned, but {} are", counts_.learned_tokens, learned));
  return {};
}

void TokenFile::read(uint64_t first, std::span<Token> tokens) const {
  assert(first + tokens.size() <= n_tokens());
  for (size_t i = 0; i < tokens.size(); i++) tokens[i] = at(first + i);
  count_read(tokens.size() * width_);
}

void TokenFile::read_learned(uint64_t first, std::span<uint8_t> learned) const {
  assert(first + learned.size() <= n_tokens());
  for (size_t i = 0; i < learned.size(); i++) learned[i] = is_learned(first + i);
  if (!bits_.empty()) count_read(learned.size() / 8);
}

void TokenFile::count_read(uint64_t bytes) const {
  if (file_) file_->count_read(std::max(bytes, kTouchedBytes), kKeptTokenBytes);
}

TokenFileWriter::TokenFileWriter(OutputFile file, std::string path, uint64_t vocabulary,
                                 uint64_t fingerprint)
    : file_(std::move(file)),
      path_(std::move(path)),
      width_(width_for(vocabulary)),
      vocabulary_(vocabulary),
      fingerprint_(fingerprint) {}

Result<TokenFileWriter> TokenFileWriter::create(const std::string& path, uint64_t vocabulary,
                                                uint64_t fingerprint) {
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, /*replace=*/true));
  const Header zeros{};
  TRY(file.write(bytes_of(&zeros, 1)));  // the numbers come at the end
  return TokenFileWriter(std::move(file), path, vocabulary, fingerprint);
}

Status TokenFileWriter::add(std::span<const Token> tokens, bool learned) {
  if (!learned && !bits_ && !tokens.empty()) TRY(begin_bits());
  if (bits_) TRY(add_bits(tokens.size(), learned));
  n_tokens_ += tokens.size();
  n_learned_ += learned ? tokens.size() : 0;
  if (width_ == 4) return file_.write(bytes_of(tokens.data(), tokens.size()));
  constexpr size_t kNarrowed = 4096;  // at a time
  uint16_t narrow[kNarrowed];
  while (!tokens.empty()) {
    const size_t n = std::min(tokens.size(), kNarrowed);
    std::transform(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n), narrow,
                   [](Token token) { return static_cast<uint16_t>(token); });
    TRY(file_.write(bytes_of(narrow, n)));
    tokens = tokens.subspan(n);
  }
  return {};
}

Status TokenFileWriter::begin_bits() {
  bits_name_ = std::make_unique<TemporaryFile>(path_, "learned");
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(bits_name_->path(), /*replace=*/true));
  bits_.emplace(std::move(file));
  return add_bits(n_tokens_, true);
}

Status TokenFileWriter::add_bits(uint64_t n, bool learned) {
  while (n > 0) {
    const uint64_t place = n_bits_ % 64, taken = std::min(n, 64 - place);
    if (learned) bit_word_ |= ~uint64_t{0} >> (64 - taken) << place;
    n_bits_ += taken, n -= taken;
    if (n_bits_ % 64 != 0) break;
    TRY(bits_->write(bytes_of(&bit_word_, 1)));
    bit_word_ = 0;
  }
  return {};
}

Status TokenFileWriter::append_bits() {
  if (n_bits_ % 64 != 0) TRY(bits_->write(bytes_of(&bit_word_, 1)));
  TRY(bits_->commit());
  const uint8_t zeros[8] = {};
  TRY(file_.write({zeros, align_up(file_.size(), 8) - file_.size()}));
  ASSIGN_OR_RETURN(InputFile bits, InputFile::open(bits_name_->path()));
  std::vector<char> block(kMiB);
  for (;;) {
    ASSIGN_OR_RETURN(const uint64_t n, bits.read(block));
    TRY(file_.write(bytes_of(block.data(), n)));
    if (n < block.size()) return {};
  }
}

Status TokenFileWriter::finish(const DataCounts& counts) {
  if (bits_) TRY(append_bits());
  bits_name_.reset();
  Header header;
  header.width = width_, header.has_learned = bits_.has_value();
  header.vocabulary = vocabulary_, header.fingerprint = fingerprint_;
  header.n_tokens = n_tokens_, header.n_learned = n_learned_;
  header.documents = counts.documents, header.empty = counts.empty;
  header.corrupt = counts.corrupt, header.bytes = counts.bytes;
  header.malformed_bytes = counts.malformed_bytes, header.skipped_files = counts.skipped_files;
  TRY(file_.write_at(0, bytes_of(&header, 1)));
  return file_.commit();
}

}  // namespace enxuto
