// One file of a state folder (state.h): there and whole, or not there; damage is found when it is
// read.
//
// file: "ENXREC01" | tag u64 | payload bytes u64 | XXH3 of the payload, seeded by the tag, u64 |
//       payload
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "plan/compression_plan.h"
#include "platform/direct_file.h"
#include "platform/file.h"

struct XXH3_state_s;

namespace enxuto {

struct RecordHeader {
  char magic[8] = {'E', 'N', 'X', 'R', 'E', 'C', '0', '1'};
  uint64_t tag = 0, bytes = 0, checksum = 0;
};

// XXH3 over what comes in pieces.
class StreamHash {
 public:
  explicit StreamHash(uint64_t seed = 0);
  void add(ByteView bytes);
  uint64_t value() const;
  std::string hex() const;  // of 128 bits

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

// What to say of a record that is damaged: kBadInput.
Status damaged_record(const std::string& path);

class RecordWriter {
 public:
  // Replaces what `path` was, when it is kept. tag: whatever the reader is to know beforehand.
  static Result<RecordWriter> create(const std::string& path, uint64_t tag);
  Status write(ByteView bytes);  // appends
  Status keep();                 // synced, and under its name

 private:
  RecordWriter(OutputFile file, uint64_t tag)
      : file_(std::move(file)), header_{.tag = tag}, hash_(tag) {}
  OutputFile file_;
  RecordHeader header_;
  StreamHash hash_;
};

class RecordReader {
 public:
  // kBadInput where it is no record, or not as long as it says.
  static Result<RecordReader> open(const std::string& path, uint64_t size);
  uint64_t tag() const { return header_.tag; }
  uint64_t left() const { return left_; }  // bytes that were not read yet
  // The next bytes. Not to be believed before finish().
  Status read(std::span<uint8_t> to);
  // kBadInput where bytes are left, or the checksum is another.
  Status finish();

 private:
  explicit RecordReader(std::string path) : path_(std::move(path)) {}
  Status fetch(uint8_t* to, uint64_t bytes);
  std::string path_;
  std::unique_ptr<DirectFile> file_;
  struct alignas(DirectFile::kAlignment) Buffer {
    uint8_t bytes[kRecordBytesAtOnce];
  };
  std::unique_ptr<Buffer> buffer_;                       // what was fetched last
  uint64_t size_ = 0, fetched_ = 0, at_ = 0, left_ = 0;  // at_: of what is taken, in the file
  RecordHeader header_;
  StreamHash hash_;
};

template <class T>
ByteView bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}
template <class T>
std::span<uint8_t> room_of(std::span<T> values) {
  return {reinterpret_cast<uint8_t*>(values.data()), values.size_bytes()};
}

}  // namespace enxuto
