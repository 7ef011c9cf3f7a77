// The report of compress, as JSON and as a page: its figures agree with each other and with plan;
// names of files stay text.
#include <expat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "inputs.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

// All text of a well-formed page: between tags, and of titles.
std::string text_of(const std::string& page) {
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(
      XML_ParserCreate("UTF-8"), XML_ParserFree);
  std::string text;
  XML_SetUserData(parser.get(), &text);
  XML_SetCharacterDataHandler(parser.get(), [](void* to, const char* s, int n) {
    static_cast<std::string*>(to)->append(s, static_cast<size_t>(n));
  });
  EXPECT_EQ(XML_Parse(parser.get(), page.data(), static_cast<int>(page.size()), 1), XML_STATUS_OK)
      << XML_ErrorString(XML_GetErrorCode(parser.get())) << " in line "
      << XML_GetCurrentLineNumber(parser.get());
  return text;
}

class CompressReportFile : public testing::Test {
 protected:
  void SetUp() override { write_tiny_llama(model_); }
  // What it wrote into the report of that name.
  std::string report_of(const std::string& name, const std::vector<std::string>& more) const {
    const std::string report = scratch_.path(name);
    std::vector<std::string> all = {"compress", model_, "--effort", "fast", "--report", report};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run_program(all);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
    EXPECT_THAT(outcome.out, Not(HasSubstr("mostly"))) << "the curve was not asked for";
    return read_whole(report);
  }
  std::vector<std::string> writing() const { return {"-o", small_, "--size", "90KB"}; }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny <i>\x01.gguf"),
              small_ = scratch_.path("small & \"lean\".gguf");
};

TEST_F(CompressReportFile, FiguresOfTensorsAddUp) {
  const Json report = Json::parse(report_of("report.json", writing()));
  double share = 0, kld = 0;
  uint64_t bytes = 0, bytes_by_format = 0, parameters = 0;
  for (const Json& t : report["tensors"]) {
    share += t["kld_share"].get<double>(), kld += t["predicted_kld"].get<double>();
    bytes += t["bytes"].get<uint64_t>(), parameters += t["parameters"].get<uint64_t>();
    EXPECT_NEAR(t["bits_per_weight"].get<double>() * t["parameters"].get<double>(),
                8 * t["bytes"].get<double>(), 1e-6);
    if (t["name"] != "blk.1.ffn_down.weight") continue;
    EXPECT_EQ(t["kind"], "ffn_down");
    EXPECT_EQ(t["layer"], 1);
  }
  for (const Json& f : report["formats"]) bytes_by_format += f["bytes"].get<uint64_t>();
  EXPECT_NEAR(share, 1, 1e-9);
  EXPECT_DOUBLE_EQ(kld, report["predicted_kld"].get<double>());
  EXPECT_EQ(bytes, bytes_by_format);
  EXPECT_LT(bytes, report["file_bytes"].get<uint64_t>());
  const Json inspected = Json::parse(run_program({"inspect", model_, "--json"}).out);
  EXPECT_EQ(parameters, inspected["parameters"].get<uint64_t>());
}

TEST_F(CompressReportFile, BeforeAndAfterAreWhatThePlanSays) {
  const Json report = Json::parse(report_of("report.json", writing()));
  for (const auto& [when, file] : {std::pair{"before", model_}, {"after", small_}}) {
    const Json plan = Json::parse(run_program({"plan", file, "--json"}).out);
    EXPECT_EQ(report[when]["file_bytes"], size_of(file));
    EXPECT_EQ(report[when]["run_bytes"], plan["total_bytes"]);
    EXPECT_EQ(report[when]["context"], plan["context"]);
    EXPECT_EQ(report[when]["parts"].size(), plan["parts"].size());
  }
}

TEST_F(CompressReportFile, TheFileIsOnTheCurve) {
  const Json report = Json::parse(report_of("report.json", writing()));
  size_t chosen = 0;
  for (const Json& point : report["curve"]) {
    if (!point["chosen"].get<bool>()) continue;
    ++chosen;
    EXPECT_EQ(point["file_bytes"], report["file_bytes"]);
    EXPECT_NEAR(point["predicted_kld"].get<double>(), report["predicted_kld"].get<double>(), 1e-9);
  }
  EXPECT_EQ(chosen, 1u);
  EXPECT_FALSE(report["mixes"].empty());
}

TEST_F(CompressReportFile, ThePageNamesEveryTensorAndNeedsNothingElse) {
  const std::string page = report_of("report.html", writing());
  const std::string text = text_of(page);
  const Json listed = Json::parse(run_program({"inspect", model_, "--tensors", "--json"}).out);
  for (const Json& t : listed["tensors"])
    EXPECT_THAT(text, HasSubstr(t["name"].get<std::string>()));
  EXPECT_THAT(text, testing::AllOf(HasSubstr("tiny <i>\uFFFD.gguf"),
                                   HasSubstr("small & \"lean\".gguf"), HasSubstr("this file: ")));
  EXPECT_THAT(page, testing::AllOf(Not(HasSubstr("<script")), Not(HasSubstr("http")),
                                   Not(HasSubstr("src=")), Not(HasSubstr("nan"))));
}

// Not how well: machines and loads differ too much for a test.
TEST_F(CompressReportFile, TimeAndMemoryAreToldBeforeTheWork) {
  const Json report = Json::parse(report_of("report.json", writing()));
  EXPECT_GT(report["predicted_seconds"], 0.0);
  const Outcome text = run_program(
      {"compress", model_, "-o", small_, "--size", "90KB", "--effort", "fast", "--force"});
  EXPECT_THAT(text.error, testing::AllOf(HasSubstr("become at most 87.9 KiB: a few seconds, "),
                                         HasSubstr(" of memory")));
}

TEST_F(CompressReportFile, TheTerminalNamesWhereBitsAndLossAre) {
  std::vector<std::string> all = {"compress", model_, "--effort", "fast"};
  const std::vector<std::string> more = writing();
  all.insert(all.end(), more.begin(), more.end());
  const std::string out = run_program(all).out;
  EXPECT_THAT(out, testing::ContainsRegex("most bits +[a-z_]+ [0-9.]+, [a-z_]+ "));
  EXPECT_THAT(out, testing::ContainsRegex("least bits +[a-z_]+ [0-9.]+, [a-z_]+ "));
  EXPECT_THAT(
      out, testing::ContainsRegex("most loss .*share\n[a-z_.0-9]+weight +[A-Z0-9_]+ +[0-9.]+ %"));
  EXPECT_THAT(out, Not(HasSubstr("\x1b"))) << "no terminal, no colour";
}

TEST_F(CompressReportFile, ACurveAloneHasAPageToo) {
  const std::string report = scratch_.path("report.html");
  ASSERT_EQ(run_program({"compress", model_, "--curve", "--effort", "fast", "--report", report})
                .exit_code,
            0);
  const std::string page = read_whole(report);
  EXPECT_THAT(text_of(page), Not(HasSubstr("this file: ")));
  EXPECT_THAT(page, HasSubstr("<polyline class=\"curve\""));
}

}  // namespace
}  // namespace enxuto
