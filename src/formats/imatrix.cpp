#include "formats/imatrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "formats/gguf.h"
#include "formats/untrusted.h"

namespace enxuto {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr const char* kTodo = "make it again: llama-imatrix or `compress --save-imatrix` does";

Status broken(std::string what) { return Status::bad_input(std::move(what), kTodo); }

// Both tensors of an entry.
struct Parts {
  const Tensor *sums = nullptr, *counts = nullptr;
};

Status read_entry(const std::string& label, const Parts& parts, ImatrixEntry& entry) {
  if (!parts.sums || !parts.counts)
    return broken(fmt::format("{} has no {}", label, parts.sums ? "counts" : "in_sum2"));
  for (const Tensor* part : {parts.sums, parts.counts})
    if (part->type != Type::F32)
      return broken(fmt::format("{}: its numbers are {}, not F32", label, part->codec().name));
  if (parts.counts->count() != parts.sums->rows())
    return broken(fmt::format("{}: {} counts for {} matrices", label, parts.counts->count(),
                              parts.sums->rows()));
  entry = {parts.sums->columns(), parts.sums->rows(), parts.sums->data,
           load<float>(parts.counts->data.data())};
  return {};
}

Result<Imatrix> parse_new(ByteView bytes) {
  ASSIGN_OR_RETURN(const GgufFile gguf, parse_gguf(bytes));
  if (gguf.metadata.string_at("general.type") != "imatrix")
    return broken("a GGUF file, but no importance matrix (general.type)");
  std::map<std::string_view, Parts> found;
  for (const Tensor& tensor : gguf.tensors) {
    const std::string_view name = tensor.name;
    if (name.ends_with(kSums))
      found[name.substr(0, name.size() - kSums.size())].sums = &tensor;
    else if (name.ends_with(kCounts))
      found[name.substr(0, name.size() - kCounts.size())].counts = &tensor;
  }
  Imatrix imatrix;
  for (const auto& [name, parts] : found)
    TRY(read_entry("entry " + shown(name), parts, imatrix.entries[std::string(name)]));
  return imatrix;
}

Status read_old_entry(Cursor& in, int32_t i, Imatrix& imatrix) {
  int32_t length, count, n_values;
  ByteView name;
  if (!in.number(length) || length < 1 || static_cast<uint64_t>(length) > kMostNameBytes ||
      !in.view(static_cast<uint64_t>(length), name))
    return broken(fmt::format("entry {} has no sound name", i));
  const std::string_view text(reinterpret_cast<const char*>(name.data()), name.size());
  const std::string label = "entry " + shown(text);
  if (!in.number(count) || !in.number(n_values))
    return broken(fmt::format("{}: the file ends early", label));
  if (n_values < 1) return broken(fmt::format("{}: {} values", label, n_values));
  ImatrixEntry entry{static_cast<uint64_t>(n_values), 1, {}, static_cast<double>(count)};
  if (!in.view(entry.columns * sizeof(float), entry.sums))
    return broken(fmt::format("{}: {} values reach past the end of the file", label, n_values));
  if (!imatrix.entries.emplace(text, entry).second)
    return broken(fmt::format("{} appears twice", label));
  return {};
}

Result<Imatrix> parse_old(ByteView bytes) {
  Cursor in(bytes);
  Imatrix imatrix;
  int32_t n, chunks, length;
  // An entry takes 4 bytes of length, 1 of name, 4 of each count, 4 of a value at least.
  if (!in.number(n) || n < 1 || static_cast<uint64_t>(n) > in.left() / 17)
    return broken("no importance matrix: neither GGUF nor the older .dat");
  for (int32_t i = 0; i < n; ++i) TRY(read_old_entry(in, i, imatrix));
  const bool plain = in.left() == 0 || (in.number(chunks) && in.left() == 0);
  ByteView dataset;
  if (!plain && (!in.number(length) || length < 0 ||
                 !in.view(static_cast<uint64_t>(length), dataset) || in.left() != 0))
    return broken(fmt::format("bytes behind the last of {} entries", n));
  return imatrix;
}

Metadata metadata_of(const ImatrixText& text) {
  Metadata metadata;
  metadata.set_string("general.type", "imatrix");
  metadata.set_strings("imatrix.datasets", {text.name});
  metadata.set_u32("imatrix.chunk_count", text.chunks);
  metadata.set_u32("imatrix.chunk_size", text.chunk_tokens);
  return metadata;
}

}  // namespace

const ImatrixEntry* Imatrix::find(std::string_view name) const {
  const auto it = entries.find(name);
  return it == entries.end() ? nullptr : &it->second;
}

Status ImatrixEntry::mean_squares(std::span<float> mean) const {
  if (matrices != 1)
    return Status::bad_input(fmt::format("{} matrices (of experts), where one is used", matrices),
                             "leave it out, or make one of this model");
  if (!(count > 0) || !std::isfinite(count))
    return broken(fmt::format("a count of {} tokens", count));
  for (uint64_t c = 0; c < columns; ++c) {
    const auto sum = load<float>(sums.data() + c * sizeof(float));
    mean[c] = static_cast<float>(sum / count);
    if (!(sum >= 0) || !std::isfinite(mean[c]))
      return broken(fmt::format("column {}: {} as the sum of {} squares", c, sum, count));
  }
  if (std::ranges::all_of(mean, [](float m) { return m == 0; })) return broken("nothing but zeros");
  return {};
}

Result<Imatrix> parse_imatrix(ByteView bytes) {
  const bool is_gguf = bytes.size() >= 4 && load<uint32_t>(bytes.data()) == kGgufMagic;
  return is_gguf ? parse_new(bytes) : parse_old(bytes);
}

Result<Imatrix> open_imatrix(const std::string& path) {
  ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  auto imatrix = parse_imatrix(file->bytes());
  if (!imatrix.ok()) return imatrix.status().in(path);
  imatrix->file = std::move(file);
  return imatrix;
}

Status write_imatrix(OutputFile& out, const ImatrixText& text,
                     const std::vector<NamedMeans>& tensors) {
  const Metadata metadata = metadata_of(text);
  GgufWriter writer(out, metadata);
  for (const auto& [name, means, matrices] : tensors) {
    const uint64_t shape[] = {means.size(), matrices}, one[] = {1, matrices};
    TRY(writer.add(name + std::string(kSums), Type::F32, shape));
    TRY(writer.add(name + std::string(kCounts), Type::F32, one));
  }
  TRY(writer.begin());
  const auto write = [&](std::span<const float> values) {
    return writer.write({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
  };
  const auto count = static_cast<float>(text.tokens);
  for (const auto& [name, means, matrices] : tensors) {
    std::vector<float> sums(means.begin(), means.end());
    for (float& sum : sums) sum *= count;
    for (uint64_t i = 0; i < matrices; ++i) TRY(write(sums));
    TRY(write(std::vector<float>(matrices, count)));
  }
  return writer.finish();
}

}  // namespace enxuto
