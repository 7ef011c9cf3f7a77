// Files: mapped ones to read, and ones to write that appear under their name only when whole and
// synced.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace enxuto {

using ByteView = std::span<const uint8_t>;

// A whole file mapped read-only and shared: its pages are the page cache's own, never a copy.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  ByteView bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // All of it will be read over and over: the kernel may bring it in large pages, where its file
  // system can, so that addresses are found sooner. What lies in its cache already stays as it is.
  void expect_reuse() const;
  // These bytes are hardly looked at: what is touched beside them does not bring their pages along.
  void set_apart(ByteView part) const;
  // Its pages no longer count as this process's memory until they are looked at again.
  void let_go() const;
  // So many bytes were read: let go, once they and those before are `kept` or more. A mapping's
  // pages count as memory of the process until then, though they are the kernel's to drop.
  void count_read(uint64_t bytes, uint64_t kept) const;

 private:
  MappedFile(std::string path, const uint8_t* data, uint64_t size)
      : path_(std::move(path)), data_(data), size_(size) {}
  std::string path_;
  const uint8_t* data_;
  uint64_t size_;
  mutable std::atomic<uint64_t> read_bytes_ = 0;  // since it was let go
};

// A regular file read from its start to its end, in pieces.
class InputFile {
 public:
  static Result<InputFile> open(const std::string& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile();

  // The next bytes; how many: all that `out` has room for, fewer at the end of the file only.
  Result<uint64_t> read(std::span<char> out);
  uint64_t size() const { return size_; }                     // when it was opened
  int64_t modified_nanoseconds() const { return modified_; }  // since 1970
  const std::string& path() const { return path_; }

 private:
  InputFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  int64_t modified_ = 0;
};

// Reads a small file whole (JSON, text). Refuses one larger than `limit` bytes.
Result<std::string> read_text_file(const std::string& path, uint64_t limit);

// Written beside its final name as NAME.part-PID, then synced and renamed by commit(). Without
// commit(), nothing stays: the destructor removes it, and so does the handler of
// platform/interrupt.h.
class OutputFile {
 public:
  // Refuses a name that exists unless `replace`.
  static Result<OutputFile> create(const std::string& path, bool replace);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  Status write(ByteView bytes);                      // appends, buffered
  Status write(std::string_view text);               // likewise
  Status write_at(uint64_t offset, ByteView bytes);  // overwrites bytes already written
  Status flush();
  // Room on the disk for so many bytes, where the file system can promise it: kFailed says that it
  // is full before the work is done.
  Status reserve(uint64_t bytes);
  uint64_t size() const { return size_; }
  Status commit();  // flush, fsync, rename, fsync of the folder

 private:
  OutputFile(std::string path, std::string part_path, int fd)
      : path_(std::move(path)), part_path_(std::move(part_path)), fd_(fd) {}
  Status write_through(const uint8_t* data, uint64_t size, uint64_t offset);
  std::string path_, part_path_;
  int fd_ = -1;
  uint64_t size_ = 0, flushed_ = 0;
  bool reserved_ = false;
  std::unique_ptr<uint8_t[]> buffer_;
};

// A file of this text.
Status write_text_file(const std::string& path, std::string_view text, bool replace);

bool file_exists(const std::string& path);
// kUsage where there is such a file and `replace` was not said.
Status check_is_free(const std::string& path, bool replace);
bool is_directory(const std::string& path);
// Whether both names lead to the same file (also by links).
bool same_file(const std::string& a, const std::string& b);

}  // namespace enxuto
