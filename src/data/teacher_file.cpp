#include "data/teacher_file.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/float16.h"

namespace enxuto {
namespace {

struct Header {
  char magic[8] = {'E', 'N', 'X', 'T', 'T', 'C', '0', '1'};
  uint32_t width = 2, top = 0;
  uint64_t vocabulary = 0, fingerprint = 0, context = 0, windows = 0;
  uint8_t zeros[16] = {};
};
static_assert(sizeof(Header) == 64);

constexpr uint64_t kMostVocabulary = uint64_t{1} << 31;
constexpr uint64_t kMostBytes = uint64_t{1} << 56;
constexpr uint64_t kKeptBytes = 2 * kMiB;  // of the mapping, that stay ours
constexpr float kNone = -65504;            // the least of f16
constexpr double kMassError = 0.01;        // by which rounded probabilities may miss 1

uint32_t width_for(uint64_t vocabulary) { return vocabulary <= 65536 ? 2 : 4; }

uint64_t row_bytes(const TeacherShape& shape) {
  return uint64_t{shape.top} * (width_for(shape.vocabulary) + 2) + 2;
}

Status damaged(const std::string& what) {
  return Status::bad_input("the teacher's file " + what, "remove it; it will be made again");
}

Result<TeacherShape> read_header(ByteView bytes) {
  Header header;
  if (bytes.size() < sizeof header || std::memcmp(bytes.data(), header.magic, 8) != 0)
    return damaged("is none, or of another version");
  std::memcpy(&header, bytes.data(), sizeof header);
  const TeacherShape shape{header.vocabulary, header.top, header.context, header.windows,
                           header.fingerprint};
  if (shape.vocabulary == 0 || shape.vocabulary > kMostVocabulary ||
      header.width != width_for(shape.vocabulary) || shape.context == 0 || shape.top == 0 ||
      shape.top > shape.vocabulary || std::ranges::any_of(header.zeros, [](auto b) { return b; }))
    return damaged("has a header that makes no sense");
  const auto size = TeacherFile::file_bytes(shape);
  if (!size.ok() || *size != bytes.size())
    return damaged(fmt::format("says {} windows of {} tokens, but has {} bytes", shape.windows,
                               shape.context, bytes.size()));
  return shape;
}

uint16_t half_at(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, sizeof half);
  return half;
}

}  // namespace

Result<uint64_t> TeacherFile::file_bytes(const TeacherShape& shape) {
  const OptionalSize rows = checked_mul(shape.windows, shape.context);
  const OptionalSize size = checked_add(sizeof(Header), checked_mul(rows, row_bytes(shape)));
  if (size && *size <= kMostBytes) return *size;
  return Status::does_not_fit("what the teacher says of this data is more than can be counted",
                              "give less data, or fewer --steps");
}

Result<TeacherFile> TeacherFile::open(const std::string& path) {
  ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  auto checked = check(file->bytes(), file);
  if (!checked.ok()) return checked.status().in(path);
  return checked;
}

Result<TeacherFile> TeacherFile::parse(ByteView bytes) { return check(bytes, nullptr); }

Result<TeacherFile> TeacherFile::check(ByteView bytes, std::shared_ptr<const MappedFile> mapping) {
  TeacherFile file;
  ASSIGN_OR_RETURN(file.shape_, read_header(bytes));
  file.rows_ = bytes.subspan(sizeof(Header));
  file.file_ = std::move(mapping);
  TRY(file.check_rows());
  if (file.file_) file.file_->let_go();
  return file;
}

Status TeacherFile::check_rows() const {
  std::vector<Token> tokens(shape_.top);
  std::vector<float> log_p(shape_.top + 1);
  const auto above_zero = [](float value) { return !(value <= 0); };  // or no number
  for (uint64_t row = 0; row < shape_.windows * shape_.context; ++row) {
    read_row(row, tokens.data(), log_p.data());
    count_read(row_bytes(shape_));
    const bool ascend = std::ranges::adjacent_find(tokens, std::greater_equal<>()) == tokens.end();
    if (!ascend || tokens.front() < 0 || static_cast<uint64_t>(tokens.back()) >= shape_.vocabulary)
      return damaged(fmt::format("has tokens in row {} that cannot be", row));
    double mass = 0;
    for (const float value : log_p) mass += std::exp(double{value});
    if (std::ranges::any_of(log_p, above_zero) || std::fabs(mass - 1) > kMassError)
      return damaged(fmt::format("has probabilities in row {} that cannot be", row));
  }
  return {};
}

void TeacherFile::read_row(uint64_t row, Token* tokens, float* log_p) const {
  const uint32_t width = width_for(shape_.vocabulary);
  const uint8_t* at = rows_.data() + row * row_bytes(shape_);
  for (uint32_t i = 0; i < shape_.top; ++i, at += width) {
    if (width == 2)
      tokens[i] = half_at(at);
    else
      std::memcpy(&tokens[i], at, sizeof(Token));
  }
  for (uint32_t i = 0; i <= shape_.top; ++i, at += 2) log_p[i] = f16_to_f32(half_at(at));
}

void TeacherFile::read(uint64_t window, const TaughtRows& rows) const {
  const uint64_t top = shape_.top;
  assert(window < shape_.windows && rows.tokens.size() == shape_.context * top);
  for (uint64_t t = 0; t < shape_.context; ++t)
    read_row(window * shape_.context + t, &rows.tokens[t * top], &rows.log_p[t * (top + 1)]);
  count_read(shape_.context * row_bytes(shape_));
}

void TeacherFile::count_read(uint64_t bytes) const {
  if (file_) file_->count_read(bytes, kKeptBytes);
}

Result<uint64_t> teacher_fingerprint(const std::vector<std::string>& files,
                                     std::string_view of_the_rest) {
  std::string all(of_the_rest);
  for (const std::string& path : files) {
    ASSIGN_OR_RETURN(const InputFile file, InputFile::open(path));
    all += fmt::format("\n{}\n{} {}", path, file.size(), file.modified_nanoseconds());
  }
  return XXH3_64bits(all.data(), all.size());
}

Result<TeacherFileWriter> TeacherFileWriter::create(const std::string& path,
                                                    const TeacherShape& shape) {
  ASSIGN_OR_RETURN(const uint64_t bytes, TeacherFile::file_bytes(shape));
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, /*replace=*/true));
  TRY(file.reserve(bytes));
  Header header;
  header.width = width_for(shape.vocabulary), header.top = shape.top;
  header.vocabulary = shape.vocabulary, header.fingerprint = shape.fingerprint;
  header.context = shape.context, header.windows = shape.windows;
  TRY(file.write({reinterpret_cast<const uint8_t*>(&header), sizeof header}));
  return TeacherFileWriter(std::move(file), shape);
}

Status TeacherFileWriter::add(std::span<const Token> tokens, std::span<const float> log_p) {
  const uint32_t width = width_for(shape_.vocabulary);
  std::vector<uint8_t> row(row_bytes(shape_));
  uint8_t* at = row.data();
  for (size_t i = 0; i < shape_.top; ++i, at += width) std::memcpy(at, &tokens[i], width);
  for (size_t i = 0; i <= shape_.top; ++i, at += 2) {
    const uint16_t half = f32_to_f16(std::clamp(log_p[i], kNone, 0.0f));
    std::memcpy(at, &half, sizeof half);
  }
  return file_.write(row);
}

Status TeacherFileWriter::finish() {
  assert(file_.size() == *TeacherFile::file_bytes(shape_));
  return file_.commit();
}

}  // namespace enxuto
