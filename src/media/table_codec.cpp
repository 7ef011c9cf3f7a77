#include "media/table_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "data/shuffled_order.h"
#include "media/media_vocabulary.h"
#include "media/table_learning.h"
#include "media/table_sample.h"
#include "platform/interrupt.h"
#include "platform/temporary_file.h"

namespace enxuto {
namespace {

// Orders of a row's columns: many where there are few rows.
constexpr uint64_t kTokensInAll = uint64_t{1} << 20, kMostOrders = 64, kLeastOrders = 2;
constexpr uint64_t kRowsBetweenReports = 4096;
constexpr uint64_t kTouchedBytes = 64 << 10;  // that the kernel maps around a row
constexpr uint64_t kOrderSeed = 0x7ab1e;

// The outcomes of all rows in a file, to be read in another order.
class RowFile {
 public:
  RowFile(const std::string& beside, size_t n_columns)
      : name_(beside, "rows"), n_columns_(n_columns) {}

  Status write(TableRows& table, const TableSchema& schema, const Progress& progress) {
    ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(name_.path(), /*replace=*/true));
    std::vector<uint32_t> row(n_columns_);
    TRY(table.read(progress, "reading the table", [&](const CsvRow& texts) -> Status {
      for (size_t c = 0; c < n_columns_; ++c) {
        const auto outcome = schema.columns()[c].encode(texts[c]);
        if (!outcome) {
          table.leave_out(fmt::format("column '{}': '{}' is no {}", schema.columns()[c].name(),
                                      texts[c], kind_name(schema.columns()[c])));
          return {};
        }
        row[c] = *outcome;
      }
      ++n_rows_;
      return file.write({reinterpret_cast<const uint8_t*>(row.data()), row_bytes()});
    }));
    TRY(file.commit());
    if (n_rows_ == 0) return {};
    ASSIGN_OR_RETURN(file_, MappedFile::open(name_.path()));
    return {};
  }
  uint64_t n_rows() const { return n_rows_; }
  void read(uint64_t i, std::vector<uint32_t>& row) const {
    std::memcpy(row.data(), file_->bytes().data() + i * row_bytes(), row_bytes());
    file_->count_read(kTouchedBytes, kKeptTokenBytes);
  }

 private:
  size_t row_bytes() const { return n_columns_ * sizeof(uint32_t); }
  TemporaryFile name_;
  size_t n_columns_;
  uint64_t n_rows_ = 0;
  std::shared_ptr<const MappedFile> file_;
};

// A row in an order of its columns.
Status add_row(const TableSchema& schema, const std::vector<uint32_t>& outcomes,
               const std::vector<size_t>& order, TokenFileWriter& out) {
  const auto add = [&](Token token, bool learned) { return out.add({&token, 1}, learned); };
  TRY(add(schema.row_token(), false));
  for (const size_t c : order) {
    TRY(add(schema.marker(c), false));
    TRY(add(schema.token(c, outcomes[c]), true));
  }
  return {};
}

Status add_rows(const TableSchema& schema, const RowFile& rows, TokenFileWriter& out,
                const Progress& progress) {
  const uint64_t n = rows.n_rows();
  const uint64_t orders =
      std::clamp(kTokensInAll / (n * schema.row_tokens()), kLeastOrders, kMostOrders);
  const ShuffledOrder shuffled(n, kOrderSeed);
  std::mt19937_64 random(kOrderSeed);
  std::vector<uint32_t> row(schema.columns().size());
  std::vector<size_t> order(row.size());
  for (size_t c = 0; c < order.size(); ++c) order[c] = c;
  for (uint64_t i = 0; i < n; ++i) {
    if (i % kRowsBetweenReports == 0) {
      if (interrupted()) return Status::interrupted();
      if (progress) progress("writing tokens", static_cast<double>(i) / static_cast<double>(n));
    }
    rows.read(shuffled[i], row);
    for (uint64_t o = 0; o < orders; ++o) {
      std::ranges::shuffle(order, random);
      TRY(add_row(schema, row, order, out));
    }
  }
  const Token end = schema.row_token();
  return out.add({&end, 1}, false);  // the last window is whole by it
}

}  // namespace

Result<std::unique_ptr<MediaCodec>> TableCodec::learn(const CodecRequest& request,
                                                      const Progress& progress) {
  ASSIGN_OR_RETURN(LearnedTable table, learn_table(request, progress));
  ASSIGN_OR_RETURN(Metadata metadata, byte_vocabulary());
  metadata.set_string(kMediaKind, "table");
  TableSchema schema = TableSchema::create(std::move(table.columns), std::move(table.correlation),
                                           table.delimiter, metadata);
  schema.save(metadata);
  return std::unique_ptr<MediaCodec>(new TableCodec(std::move(metadata), std::move(schema)));
}

Result<std::unique_ptr<MediaCodec>> TableCodec::open(const Metadata& metadata) {
  ASSIGN_OR_RETURN(TableSchema schema, TableSchema::open(metadata));
  return std::unique_ptr<MediaCodec>(new TableCodec(metadata, std::move(schema)));
}

Result<DataCounts> TableCodec::write_tokens(const std::vector<std::string>& paths,
                                            uint64_t fingerprint, const std::string& out,
                                            const Progress& progress) const {
  TableRows table(paths, schema_.names());
  RowFile rows(out, schema_.columns().size());
  TRY(rows.write(table, schema_, progress));
  if (rows.n_rows() == 0)
    return Status::bad_input(fmt::format("no row of {} can be used; the first is {}", paths[0],
                                         table.counts().first_corrupt),
                             "give tables like the one that the model was made for");
  ASSIGN_OR_RETURN(TokenFileWriter writer,
                   TokenFileWriter::create(out, schema_.vocabulary(), fingerprint));
  TRY(add_rows(schema_, rows, writer, progress));
  DataCounts counts = table.counts();
  counts.tokens = writer.n_tokens(), counts.learned_tokens = writer.n_learned();
  TRY(writer.finish(counts));
  return counts;
}

}  // namespace enxuto
