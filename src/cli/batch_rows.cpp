#include "cli/batch_rows.h"

#include <algorithm>

#include "data/text_files.h"
#include "media/csv.h"

namespace enxuto {
namespace {

constexpr uint64_t kMostLineBytes = uint64_t{16} << 20;
constexpr int kMostDepth = 100;

double share(uint64_t done, uint64_t all) {
  return all ? static_cast<double>(done) / static_cast<double>(all) : 1;
}

// The prompt among the fields, or why there is none.
void take_prompt(const std::string& field, BatchRow& row) {
  const auto found = row.fields.find(field);
  if (found == row.fields.end() || !found->is_string())
    row.bad = fmt::format("no text at \"{}\"", field);
  else if (row.prompt = found->get<std::string>(); is_blank(row.prompt))
    row.bad = fmt::format("\"{}\" is empty", field);
}

class JsonLines : public BatchRows {
 public:
  JsonLines(InputFile file, const std::string& field)
      : bytes_(file.size()), lines_(std::move(file), kMostLineBytes), field_(field) {}

  Result<bool> next(BatchRow& row) override {
    TextLines::Line line;
    do {
      ASSIGN_OR_RETURN(line, lines_.next());
      if (line.end) return false;
    } while (!line.too_long && is_blank(line.text));
    row = BatchRow();
    row.number = lines_.number();
    if (line.too_long)
      row.bad = fmt::format("longer than {} MiB", kMostLineBytes >> 20);
    else
      parse(line.text, row);
    return true;
  }
  double done() const override { return share(lines_.bytes(), bytes_); }

 private:
  void parse(std::string_view text, BatchRow& row) {
    int deepest = 0;
    const auto within = [&](int depth, Json::parse_event_t, Json&) {
      deepest = std::max(deepest, depth);
      return depth <= kMostDepth;
    };
    Json json = Json::parse(text, within, /*allow_exceptions=*/false);
    if (json.is_discarded() || deepest > kMostDepth) {
      row.bad = deepest > kMostDepth ? "nests too deep" : "no sound JSON";
    } else if (!json.is_object()) {
      row.bad = "no JSON object";
    } else {
      row.fields = std::move(json);
      take_prompt(field_, row);
    }
  }

  uint64_t bytes_;
  TextLines lines_;
  std::string field_;
};

class CsvRows : public BatchRows {
 public:
  CsvRows(CsvReader reader, std::vector<std::string> names, const std::string& field)
      : reader_(std::move(reader)), names_(std::move(names)), field_(field) {}

  Result<bool> next(BatchRow& row) override {
    CsvRow fields;
    ASSIGN_OR_RETURN(const bool any, reader_.next(fields));
    if (!any) return false;
    row = BatchRow();
    row.number = reader_.rows();
    if (fields.size() != names_.size()) {
      row.bad = fmt::format("{} fields, where the header has {}", fields.size(), names_.size());
      return true;
    }
    for (size_t i = 0; i < fields.size(); ++i) {
      if (malformed_bytes(fields[i]) && row.bad.empty()) row.bad = "not UTF-8";
      row.fields[names_[i]] = fields[i];
    }
    if (row.bad.empty()) take_prompt(field_, row);
    return true;
  }
  double done() const override { return share(reader_.bytes(), reader_.file_bytes()); }

 private:
  CsvReader reader_;
  std::vector<std::string> names_;
  std::string field_;
};

Result<std::unique_ptr<BatchRows>> open_csv(const std::string& path, const std::string& field) {
  ASSIGN_OR_RETURN(CsvReader reader, CsvReader::open(path));
  CsvRow header;
  ASSIGN_OR_RETURN(const bool any, reader.next(header));
  std::vector<std::string> names(header.begin(), header.end());
  if (!any || std::ranges::find(names, field) == names.end())
    return Status::usage(
        fmt::format("{} has no column \"{}\"", path, field),
        any ? fmt::format("name one with --field: {}", fmt::join(names, ", ")) : "it is empty");
  return std::unique_ptr<BatchRows>(new CsvRows(std::move(reader), std::move(names), field));
}

}  // namespace

Result<std::unique_ptr<BatchRows>> BatchRows::open(const std::string& path,
                                                   const std::string& field) {
  if (path.ends_with(".csv") || path.ends_with(".tsv")) return open_csv(path, field);
  ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  return std::unique_ptr<BatchRows>(new JsonLines(std::move(file), field));
}

}  // namespace enxuto
