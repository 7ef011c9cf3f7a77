// Tables: what is found in a file, tokens and back, rules, conditions, the copula.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "media/csv.h"
#include "media/table_association.h"
#include "media/table_codec.h"
#include "media/table_comparison.h"
#include "media/table_copula.h"
#include "media/table_rules.h"
#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kRows = 3000;

// Ages are whole and few, incomes continuous and at times missing, savings go with incomes and are
// often 0, names are many.
std::string people() {
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  std::string text = "sex,age,income,savings,since,name,planet\n";
  for (int i = 0; i < kRows; ++i) {
    const bool woman = random() % 3 == 0;
    const double income = 3000 + 700 * normal(random) + (woman ? 500 : 0);
    const int savings = random() % 4 == 0 ? 0 : static_cast<int>(income * 3 + 500 * normal(random));
    text +=
        fmt::format("{},{},{},{},20{:02}-0{}-15,name{},Earth\n", woman ? "Female" : "Male",
                    20 + random() % 50, random() % 20 == 0 ? "NA" : fmt::format("{:.2f}", income),
                    savings / 10 * 10, random() % 25, 1 + random() % 9, random() % 1500);
  }
  return text;
}

class TableTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchFolder;
    path_ = scratch_->write("people.csv", people());
    codec_ = learn(path_).value().release();
  }
  static void TearDownTestSuite() {
    delete codec_;
    delete scratch_;
  }
  static Result<std::unique_ptr<MediaCodec>> learn(const std::string& path) {
    return learn_codec("table", {{path}, 64 << 20, 1}, {});
  }
  static Result<std::unique_ptr<MediaCodec>> learn_text(const std::string& text) {
    return learn(scratch_->write("other.csv", text));
  }
  static const TableSchema& schema_of(const MediaCodec& codec) {
    return dynamic_cast<const TableCodec&>(codec).schema();
  }
  static const TableSchema& schema() { return schema_of(*codec_); }
  static const Column& column(const char* name) { return schema().columns()[*schema().find(name)]; }
  static std::vector<Condition> conditions(const std::vector<std::string>& texts) {
    std::vector<Condition> parsed;
    for (const std::string& text : texts) parsed.push_back(*Condition::parse(text, schema()));
    return parsed;
  }

  static inline ScratchFolder* scratch_ = nullptr;
  static inline std::string path_;
  static inline MediaCodec* codec_ = nullptr;
};

TEST_F(TableTest, FindsWhatColumnsAre) {
  std::map<std::string, std::string> kinds;
  for (const Column& c : schema().columns()) kinds[c.name()] = kind_name(c);
  EXPECT_EQ(kinds["sex"], "category");
  EXPECT_EQ(kinds["age"], "integer");
  EXPECT_EQ(kinds["income"], "decimal");
  EXPECT_EQ(kinds["savings"], "integer");
  EXPECT_EQ(kinds["since"], "date");
  EXPECT_EQ(kinds["name"], "category");
  EXPECT_THAT(column("sex").model().exact, ElementsAre("Male", "Female"));
  EXPECT_THAT(column("planet").model().exact, ElementsAre("Earth"));
  EXPECT_EQ(column("age").n_exact(), 50u);
  EXPECT_EQ(column("age").n_cells(), 0u);
  EXPECT_THAT(column("income").model().exact, ElementsAre("NA"));
  EXPECT_EQ(column("income").model().format.decimals, 2);
  EXPECT_THAT(column("savings").model().exact, ElementsAre("0"));
  EXPECT_EQ(column("savings").model().step, 10);
  EXPECT_GT(column("name").model().rare.size(), 100u);
}

// A text's outcome says a text of the same outcome, in the column's form.
TEST_F(TableTest, OutcomesAreTextsOfTheColumn) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> place;
  for (const Column& c : schema().columns())
    for (uint32_t outcome = 0; outcome < c.n_outcomes(); ++outcome) {
      const std::string text = c.text(outcome, place(random));
      ASSERT_EQ(c.encode(text), outcome) << c.name() << " " << text;
      if (c.name() == "savings") {
        EXPECT_EQ(std::stoi(text) % 10, 0) << text;
      }
      if (c.name() == "income" && text != "NA") {
        EXPECT_EQ(text.size() - text.find('.'), 3u) << text;
      }
      if (c.name() == "since") {
        EXPECT_TRUE(parse_date(text, "YYYY-MM-DD")) << text;
      }
    }
}

TEST_F(TableTest, TheSchemaTravelsInMetadata) {
  const auto again = codec_of(codec_->metadata());
  ASSERT_TRUE(again.ok()) << again.status().what();
  EXPECT_EQ((*again)->description(), codec_->description());
  const TableSchema& other = schema_of(**again);
  EXPECT_EQ(other.correlation(), schema().correlation());
  for (size_t c = 0; c < schema().columns().size(); ++c) {
    EXPECT_EQ(other.columns()[c].model().knots, schema().columns()[c].model().knots);
    EXPECT_EQ(other.columns()[c].model().exact, schema().columns()[c].model().exact);
    EXPECT_EQ(other.token(c, 0), schema().token(c, 0));
  }
}

TEST_F(TableTest, BrokenMetadataIsRefused) {
  for (const auto& [key, value] : codec_->metadata().entries()) {
    if (!key.starts_with("enxuto.media.table.") && key != "tokenizer.ggml.tokens") continue;
    Metadata without = codec_->metadata(), wrong = codec_->metadata();
    without.erase(key);
    wrong.set_string(key, key.ends_with(".name") ? "any name is sound" : "\xFF");
    EXPECT_EQ(codec_of(without).status().code(), Code::kBadInput) << key;
    if (!key.ends_with(".name")) {
      EXPECT_EQ(codec_of(wrong).status().code(), Code::kBadInput) << key;
    }
  }
  Metadata descending = codec_->metadata();
  descending.set_strings("enxuto.media.table.2.knots", {"2", "1"});
  EXPECT_EQ(codec_of(descending).status().code(), Code::kBadInput);
}

// Each window is a row: its columns, each once, in some order; the same row in others before the
// next one.
TEST_F(TableTest, TokensAreRowsInManyOrders) {
  const std::string out = scratch_->path("tokens.bin");
  const auto counts = codec_->write_tokens({path_}, 1, out, {});
  ASSERT_TRUE(counts.ok()) << counts.status().what();
  EXPECT_EQ(counts->documents, static_cast<uint64_t>(kRows));
  const auto file = TokenFile::open(out);
  ASSERT_TRUE(file.ok());
  const uint32_t n = codec_->context();
  EXPECT_EQ(file->n_tokens() % n, 1u);
  std::vector<Token> row(n);
  std::set<std::vector<Token>> orders;
  for (uint64_t i = 0; i < 40; ++i) {
    file->read(i * n, row);
    EXPECT_EQ(row[0], schema().row_token());
    orders.insert(row);
    std::set<size_t> seen;
    for (const Token token : row)
      for (size_t c = 0; c < schema().columns().size(); ++c) {
        const uint32_t outcomes = schema().columns()[c].n_outcomes();
        if (token < schema().token(c, 0) || token >= schema().token(c, outcomes)) continue;
        EXPECT_TRUE(seen.insert(c).second);
      }
    EXPECT_EQ(seen.size(), schema().columns().size());
  }
  EXPECT_GT(orders.size(), 30u);
}

// Whatever a model prefers, rows are complete, of the file's form, and keep the conditions.
TEST_F(TableTest, AnyAllowedTokensMakeRowsThatKeepConditions) {
  std::mt19937_64 random(3);
  const std::vector<std::vector<std::string>> cases = {
      {},
      {"sex=Female"},
      {"age>40", "age<=45"},
      {"income=3210.50", "sex=Male", "savings>0"},
      {"since>=2010-01-01", "name!=name3", "income!=NA"}};
  for (const auto& texts : cases) {
    const auto where = conditions(texts);
    const Copula copula(schema(), false);
    auto rules = RowRules::create(schema(), where);
    ASSERT_TRUE(rules.ok()) << rules.status().what();
    int kept = 0;
    for (int i = 0; i < 300; ++i) {
      rules->begin(random);
      for (;;) {
        const TokenSet& allowed = rules->allowed();
        if (allowed.empty()) break;
        std::vector<Token> some;
        allowed.for_each([&](Token token) { some.push_back(token); });
        rules->accept(some[random() % some.size()]);
      }
      std::vector<std::string> row;
      if (!rules->finish(copula, random, row)) continue;
      ++kept;
      ASSERT_EQ(row.size(), schema().columns().size());
      for (size_t c = 0; c < row.size(); ++c)
        EXPECT_TRUE(schema().columns()[c].encode(row[c])) << row[c];
      for (const Condition& condition : where)
        EXPECT_TRUE(condition.holds(row[condition.column()])) << row[condition.column()];
    }
    EXPECT_GT(kept, 50) << texts.size();
    if (texts.size() < 2) {
      EXPECT_EQ(kept, 300);
    }
  }
}

TEST_F(TableTest, GivenValuesStandFirst) {
  std::mt19937_64 random(3);
  const auto where = conditions({"sex=Female"});
  auto rules = RowRules::create(schema(), where);
  const Token female = schema().token(0, *column("sex").encode("Female"));
  EXPECT_THAT(rules->begin(random), ElementsAre(schema().row_token(), schema().marker(0), female));
}

TEST_F(TableTest, ConditionsThatCannotBeAreRefused) {
  const auto refused = [](const char* text) { return Condition::parse(text, schema()).status(); };
  EXPECT_THAT(refused("height=3").todo(), HasSubstr("savings"));
  EXPECT_THAT(refused("sex=Robot").todo(), HasSubstr("Female"));
  EXPECT_EQ(refused("sex>Female").code(), Code::kUsage);
  EXPECT_EQ(refused("age=400").code(), Code::kUsage);
  EXPECT_EQ(refused("age>high").code(), Code::kUsage);
  EXPECT_EQ(refused("age").code(), Code::kUsage);
  const auto both = conditions({"sex=Female", "sex=Male"});
  EXPECT_EQ(RowRules::create(schema(), both).status().code(), Code::kUsage);
  const auto apart = conditions({"age<30", "age>60"});
  EXPECT_EQ(RowRules::create(schema(), apart).status().code(), Code::kUsage);
}

TEST_F(TableTest, ConditionsWithOperatorsInNames) {
  const auto other = learn_text("a,a=b\n1,x\n2,y\n3,x\n");
  const auto condition = Condition::parse("a=b=x", schema_of(**other));
  ASSERT_TRUE(condition.ok());
  EXPECT_EQ(condition->column(), 1u);
  EXPECT_EQ(condition->value(), "x");
}

std::vector<std::vector<std::string>> draw(const TableSchema& schema, bool independent, int n) {
  const Copula copula(schema, independent);
  std::mt19937_64 random(5);
  std::vector<std::vector<std::string>> rows(static_cast<size_t>(n));
  for (auto& row : rows) copula.draw(random, row);
  return rows;
}

TEST_F(TableTest, TheCopulaKeepsCorrelationsAndShares) {
  std::string text = "x,y,z\n";
  std::mt19937_64 random(11);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 4000; ++i) {
    const double x = normal(random), y = 0.8 * x + 0.6 * normal(random);
    text += fmt::format("{:.4f},{:.4f},{:.4f}\n", x, std::exp(y), normal(random) - 0.5 * x);
  }
  const auto codec = learn_text(text);
  const TableSchema& s = schema_of(**codec);
  EXPECT_NEAR(s.correlation()[0], 0.8, 0.03);
  const auto correlation = [&](bool independent, size_t a, size_t b) {
    CodedTable table = TableCoder(s).code(draw(s, independent, 4000));
    for (double& y : table.columns[1].values) y = std::log(std::max(y, 1e-6));
    return association(table.columns[a], table.columns[b]);
  };
  EXPECT_NEAR(correlation(false, 0, 1), 0.8, 0.04);
  EXPECT_NEAR(correlation(false, 0, 2), -0.447, 0.05);
  EXPECT_NEAR(correlation(true, 0, 1), 0, 0.05);
}

TEST_F(TableTest, SharesOfOutcomesAreKept) {
  double women = 0, missing = 0, zeros = 0;
  const auto rows = draw(schema(), false, 4000);
  for (const auto& row : rows)
    women += row[0] == "Female", missing += row[2] == "NA", zeros += row[3] == "0";
  EXPECT_NEAR(women / 4000, 1 / 3., 0.03);
  EXPECT_NEAR(missing / 4000, 0.05, 0.02);
  EXPECT_NEAR(zeros / 4000, 0.25, 0.03);
}

TEST_F(TableTest, BrokenRowsAreCountedAndTheFirstNamed) {
  const std::string path = scratch_->write(
      "broken.csv", "a,b\n1,x\n2\n3,y,z\n4,\"q\"\"q\"\n5," + std::string(5000, 'h') + "\n6,\xE9\n");
  const auto codec = learn(path);
  ASSERT_TRUE(codec.ok()) << codec.status().what();
  const auto counts = (*codec)->write_tokens({path}, 1, scratch_->path("broken.bin"), {});
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->documents, 3u);
  EXPECT_EQ(counts->corrupt, 3u);
  EXPECT_EQ(counts->malformed_bytes, 1u);
  EXPECT_EQ(counts->first_corrupt, path + ":3: 1 fields, where the header has 2");
}

TEST_F(TableTest, ColumnsOfOneValueAndOfNone) {
  const auto codec = learn_text("one,none,x\nsame,,1.5\nsame,,2.5\nsame,,1.5\n");
  ASSERT_TRUE(codec.ok()) << codec.status().what();
  for (const auto& row : draw(schema_of(**codec), false, 50)) {
    EXPECT_EQ(row[0], "same");
    EXPECT_EQ(row[1], "");
  }
}

TEST_F(TableTest, FilesWithoutRowsAreRefused) {
  for (const char* text : {"", "a,b\n", "a,b\n1\n2\n"}) {
    const auto codec = learn_text(text);
    EXPECT_EQ(codec.status().code(), Code::kBadInput) << text;
  }
  const auto other = codec_->write_tokens({scratch_->write("else.csv", "u,v\n1,2\n")}, 1,
                                          scratch_->path("else.bin"), {});
  EXPECT_EQ(other.status().code(), Code::kBadInput);
}

TEST(TableNumbers, FormsOfNumbersAndDates) {
  for (const char* text : {"", "-", "007", "+1", "1,000", "1.", "0x10", "inf", "nan", "1 "})
    EXPECT_FALSE(parse_number(text)) << text;
  EXPECT_EQ(parse_number("-12.50")->decimals, 2);
  EXPECT_EQ(parse_number("1e-3")->value, 1e-3);
  EXPECT_EQ((NumberFormat{NumberFormat::kTrimmed, 3}.text(1.5)), "1.5");
  EXPECT_EQ((NumberFormat{NumberFormat::kTrimmed, 3}.text(-0.0001)), "0");
  EXPECT_EQ((NumberFormat{NumberFormat::kFixed, 1}.text(830)), "830.0");
  for (const std::string_view pattern : date_patterns()) {
    const double seconds = 951782400 + 3660;  // the 29th of February 2000, 01:01
    const std::string text = date_text(seconds, pattern);
    ASSERT_TRUE(parse_date(text, pattern)) << text;
    EXPECT_EQ(date_text(*parse_date(text, pattern), pattern), text);
  }
  EXPECT_FALSE(parse_date("2001-02-29", "YYYY-MM-DD"));
}

TEST_F(TableTest, ATableIsLikeItself) {
  const auto same = compare_tables(schema(), path_, path_, "", {});
  ASSERT_TRUE(same.ok()) << same.status().what();
  EXPECT_NEAR(same->mean_distance, 0, 1e-12);
  EXPECT_NEAR(same->mean_pair_difference, 0, 1e-12);
  EXPECT_EQ(same->made.copied, 1);
  EXPECT_EQ(same->made.median, 0);
}

TEST_F(TableTest, WhatIsDrawnIndependentlyHasOtherPairs) {
  auto file = OutputFile::create(scratch_->path("drawn.csv"), true);
  CsvWriter out(std::move(*file), ',');
  ASSERT_TRUE(out.add(schema().names()).ok());
  for (const auto& row : draw(schema(), true, 3000)) ASSERT_TRUE(out.add(row).ok());
  ASSERT_TRUE(out.commit().ok());
  const auto found = compare_tables(schema(), scratch_->path("drawn.csv"), path_, path_, {});
  ASSERT_TRUE(found.ok()) << found.status().what();
  EXPECT_LT(found->mean_distance, 0.05);
  EXPECT_GT(std::abs(found->pairs[0].real), 0.3);  // of income and savings
  EXPECT_LT(std::abs(found->pairs[0].made), 0.1);
  EXPECT_EQ(found->made.copied, 0);
  EXPECT_EQ(found->held->copied, 1);
  EXPECT_GT(found->made.median, 0.01);
}

}  // namespace
}  // namespace enxuto
