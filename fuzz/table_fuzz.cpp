// CSV of any bytes, and metadata of tables of any content: what is learned can be opened again,
// each row that is made is one of the columns' texts and comes back from a file as it was.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "fuzz.h"
#include "media/csv.h"
#include "media/table_codec.h"
#include "media/table_copula.h"
#include "media/table_rules.h"

namespace enxuto {
namespace {

using fuzz::require;

const std::string& path() {
  static const std::string name = "/dev/shm/enxuto-table-fuzz-" + std::to_string(::getpid());
  return name;
}

Result<std::unique_ptr<MediaCodec>> learn(std::string_view text) {
  std::ofstream(path(), std::ios::binary) << text;
  return learn_codec("table", {{path()}, uint64_t{1} << 24, 1}, {});
}

std::vector<std::vector<std::string>> draw(const TableSchema& schema) {
  std::vector<std::vector<std::string>> rows(5);
  std::mt19937_64 random(1);
  const Copula copula(schema, false);
  for (auto& row : rows) copula.draw(random, row);
  auto rules = RowRules::create(schema, {});
  require(rules.ok(), "rules without conditions");
  rules->begin(random);
  while (!rules->allowed().empty()) {
    Token last = 0;
    rules->allowed().for_each([&](Token token) { last = random() % 2 || !last ? token : last; });
    rules->accept(last);
  }
  require(rules->finish(copula, random, rows.emplace_back()), "a whole row");
  return rows;
}

void check_written(const TableSchema& schema, const std::vector<std::vector<std::string>>& rows) {
  {
    auto file = OutputFile::create(path() + ".out", true);
    CsvWriter out(std::move(*file), schema.delimiter());
    require(out.add(schema.names()).ok(), "a header");
    for (const auto& row : rows) require(out.add(row).ok(), "a row");
    require(out.commit().ok(), "a file");
  }
  auto reader = CsvReader::open(path() + ".out");
  require(reader.ok(), "the file is CSV");
  if (reader->delimiter() != schema.delimiter()) return;  // names that have other ones in them
  CsvRow read;
  require(*reader->next(read), "its header");
  for (const auto& row : rows) {
    require(*reader->next(read), "as many rows");
    require(std::equal(read.begin(), read.end(), row.begin(), row.end()), "as they were");
  }
}

void check_table(std::string_view text) {
  const auto codec = learn(text);
  if (!codec.ok()) return require(codec.status().code() == Code::kBadInput, "else kBadInput");
  const auto again = codec_of((*codec)->metadata());
  require(again.ok(), "what was learned can be opened");
  const TableSchema& schema = dynamic_cast<const TableCodec&>(**again).schema();
  const auto rows = draw(schema);
  for (const auto& row : rows)
    for (size_t c = 0; c < row.size(); ++c)
      require(schema.columns()[c].encode(row[c]).has_value(), "texts of the column");
  check_written(schema, rows);
  const auto counts = (*codec)->write_tokens({path()}, 1, path() + ".tokens", {});
  if (counts.ok())
    require(counts->tokens % (*codec)->context() == 1, "whole rows");
  else
    require(counts.status().code() == Code::kBadInput, "or no row");
}

// One key of a sound table has other content.
void check_metadata(fuzz::Input input) {
  static const auto sound = learn(
                                "n,c,d\n1.5,a,2001-01-01\n2.25,b,2002-01-01\n3.5,a,2003-05-01\n"
                                "4.25,b,2004-01-01\n5,a,2005-01-01\n6,b,2006-01-01\n")
                                .value();
  Metadata metadata = sound->metadata();
  std::vector<std::string> keys;
  for (const auto& [key, value] : metadata.entries())
    if (key.starts_with("enxuto.media.")) keys.push_back(key);
  const std::string key = keys[input.byte() % keys.size()];
  const uint8_t kind = input.byte() % 4;
  const std::string text(input.rest().begin(), input.rest().end());
  std::vector<float> numbers;
  for (const uint8_t byte : input.rest()) numbers.push_back((byte - 100) / 100.f);
  std::vector<std::string> parts;
  for (size_t i = 0; i < text.size(); i += 3) parts.push_back(text.substr(i, 3));
  if (kind == 0) metadata.set_string(key, text);
  if (kind == 1) metadata.set_u32(key, text.empty() ? 0 : static_cast<uint32_t>(text[0]));
  if (kind == 2) metadata.set_f32s(key, numbers);
  if (kind == 3) metadata.set_strings(key, {parts.begin(), parts.end()});
  const auto codec = codec_of(metadata);
  if (codec.ok()) draw(dynamic_cast<const TableCodec&>(**codec).schema());
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  fuzz::Input input(data, size);
  if (input.byte() % 4 == 0) {
    check_metadata(input);
  } else {
    check_table({reinterpret_cast<const char*>(input.rest().data()), input.rest().size()});
  }
  for (const char* end : {"", ".out", ".tokens"}) std::remove((path() + end).c_str());
  return 0;
}
