// What a teacher says of the tokens of some windows, computed once before a student learns from it:
// of each token the `top` most probable next ones. All numbers little-endian:
//
// file: "ENXTTC01" | width u32 (2 or 4 bytes a token) | top u32 | vocabulary u64 | fingerprint u64
// |
//       context u64 | windows u64 | 16 zeros | windows × context rows
// row:  top × token, ascending | top × f16, their log probabilities | f16, the log probability of
//       all other tokens together; -65504 where there is none
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "platform/file.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

struct TeacherShape {
  uint64_t vocabulary = 0;
  uint32_t top = 0;  // at most the vocabulary
  uint64_t context = 0, windows = 0;
  uint64_t fingerprint = 0;  // of all that decides what the teacher says
  bool operator==(const TeacherShape&) const = default;
};

// Rows as numbers. Of n tokens: n × top tokens; n × (top + 1) log probabilities, the last of each
// row that of all other tokens.
struct TaughtRows {
  std::span<Token> tokens;
  std::span<float> log_p;
};

// A file that can be relied on: all of it was checked. Threads may share it.
class TeacherFile {
 public:
  // Reads it once, whole. kBadInput where it is no such file, is not whole, or lies.
  static Result<TeacherFile> open(const std::string& path);
  // The same over bytes in memory (fuzzing, tests), which must outlive the result.
  static Result<TeacherFile> parse(ByteView bytes);
  // What a file of this shape takes; kDoesNotFit where that is beyond reason.
  static Result<uint64_t> file_bytes(const TeacherShape& shape);

  const TeacherShape& shape() const { return shape_; }
  // The rows of a window's tokens. Pages that were read do not stay part of this process's memory.
  void read(uint64_t window, const TaughtRows& rows) const;

 private:
  static Result<TeacherFile> check(ByteView bytes, std::shared_ptr<const MappedFile> mapping);
  Status check_rows() const;
  void read_row(uint64_t row, Token* tokens, float* log_p) const;
  void count_read(uint64_t bytes) const;

  TeacherShape shape_;
  ByteView rows_;
  std::shared_ptr<const MappedFile> file_;  // none: bytes in memory
};

// Of the teacher's files (their names, sizes and times) and of what else decides what it says.
Result<uint64_t> teacher_fingerprint(const std::vector<std::string>& files,
                                     std::string_view of_the_rest);

// Writes one, row after row. It appears under its name when all rows are there.
class TeacherFileWriter {
 public:
  // kFailed where its disk has not enough room.
  static Result<TeacherFileWriter> create(const std::string& path, const TeacherShape& shape);
  Status add(std::span<const Token> tokens, std::span<const float> log_p);  // one row
  Status finish();

 private:
  TeacherFileWriter(OutputFile file, const TeacherShape& shape)
      : file_(std::move(file)), shape_(shape) {}
  OutputFile file_;
  TeacherShape shape_;
};

}  // namespace enxuto
