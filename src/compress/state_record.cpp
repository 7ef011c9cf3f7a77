#include "compress/state_record.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <new>

namespace enxuto {

StreamHash::StreamHash(uint64_t seed) : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_128bits_reset_withSeed(state_.get(), seed);
}

void StreamHash::Free::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

void StreamHash::add(ByteView bytes) {
  XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
}

uint64_t StreamHash::value() const { return XXH3_128bits_digest(state_.get()).low64; }

std::string StreamHash::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

Status damaged_record(const std::string& path) {
  return Status::bad_input(
      fmt::format("{} is damaged", path),
      fmt::format("remove {}, and start anew", std::filesystem::path(path).parent_path().string()));
}

Result<RecordWriter> RecordWriter::create(const std::string& path, uint64_t tag) {
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, /*replace=*/true));
  RecordWriter writer(std::move(file), tag);
  TRY(writer.file_.write(bytes_of(std::span<const RecordHeader>(&writer.header_, 1))));
  return writer;
}

Status RecordWriter::write(ByteView bytes) {
  header_.bytes += bytes.size();
  hash_.add(bytes);
  return file_.write(bytes);
}

Status RecordWriter::keep() {
  header_.checksum = hash_.value();
  TRY(file_.write_at(0, bytes_of(std::span<const RecordHeader>(&header_, 1))));
  return file_.commit();
}

Result<RecordReader> RecordReader::open(const std::string& path, uint64_t size) {
  RecordReader reader(path);
  ASSIGN_OR_RETURN(reader.file_, DirectFile::open(path));
  reader.size_ = size;
  reader.buffer_ = std::make_unique_for_overwrite<Buffer>();
  if (size < sizeof(RecordHeader)) return damaged_record(reader.path_);
  TRY(reader.fetch(reinterpret_cast<uint8_t*>(&reader.header_), sizeof(RecordHeader)));
  if (std::memcmp(reader.header_.magic, RecordHeader().magic, sizeof RecordHeader().magic) != 0 ||
      reader.header_.bytes != size - sizeof(RecordHeader))
    return damaged_record(reader.path_);
  reader.left_ = reader.header_.bytes;
  reader.hash_ = StreamHash(reader.header_.tag);
  return reader;
}

Status RecordReader::read(std::span<uint8_t> to) {
  if (to.size() > left_) return damaged_record(path_);
  TRY(fetch(to.data(), to.size()));
  left_ -= to.size();
  hash_.add(to);
  return {};
}

// Through the buffer, so that callers need not think of alignment.
Status RecordReader::fetch(uint8_t* to, uint64_t bytes) {
  while (bytes > 0) {
    if (at_ == fetched_) {
      const uint64_t n = std::min<uint64_t>(sizeof buffer_->bytes, size_ - fetched_);
      TRY(file_->read(fetched_, buffer_->bytes, sizeof buffer_->bytes, n));
      fetched_ += n;
    }
    const uint64_t n = std::min(bytes, fetched_ - at_);
    const uint64_t offset = at_ % sizeof buffer_->bytes;
    std::memcpy(to, buffer_->bytes + offset, n);
    to += n, at_ += n, bytes -= n;
  }
  return {};
}

Status RecordReader::finish() {
  return left_ == 0 && hash_.value() == header_.checksum ? Status() : damaged_record(path_);
}

}  // namespace enxuto
