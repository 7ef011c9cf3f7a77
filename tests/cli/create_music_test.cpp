// create music, from outside: tunes of a model that has hardly learned, what they are compared
// with, and errors that help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "inputs.h"
#include "media/midi_file.h"
#include "media/music_key.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

class CreateMusic : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<ScratchFolder>();
    for (uint8_t i = 0; i < 4; ++i)
      folder_->write("music/" + std::to_string(i) + ".mid", midi_bytes(song(i)));
    model_ = folder_->path("music.gguf");
    const Outcome trained =
        run_program({"train",    "--media", "music",   "--data",       folder_->path("music"),
                     "--layers", "1",       "--width", "64",           "--heads",
                     "2",        "-c",      "64",      "--batch-size", "2",
                     "--steps",  "3",       "-o",      model_,         "-t",
                     "2",        "--json"});
    ASSERT_EQ(trained.exit_code, 0) << trained.error;
  }
  static void TearDownTestSuite() { folder_.reset(); }

  // Four bars of a scale.
  static Song song(uint8_t up) {
    Song song;
    for (const int step : {0, 2, 4, 5, 7, 9, 11, 12, 12, 11, 9, 7, 5, 4, 2, 0})
      song.notes.push_back(
          {480 * song.notes.size(), 480, 19, static_cast<uint8_t>(60 + up + step), 80});
    return song;
  }
  static Outcome create(std::vector<std::string> more) {
    std::vector<std::string> all = {"create", "music", model_, "-t", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return run_program(all);
  }

  static std::unique_ptr<ScratchFolder> folder_;
  static std::string model_;
  ScratchFolder scratch_;
  std::string tune_ = scratch_.path("tune.mid");
};
std::unique_ptr<ScratchFolder> CreateMusic::folder_;
std::string CreateMusic::model_;

TEST_F(CreateMusic, WritesATuneAsWished) {
  const Outcome outcome = create({"-o", tune_, "--bars", "3", "--key", "F#m", "--tempo", "77",
                                  "--roll", scratch_.path("tune.svg"), "--seed", "5", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["bars"], 3);
  EXPECT_EQ(json["key"], "F#m");
  const auto song = read_midi(tune_);
  ASSERT_TRUE(song.ok()) << song.status().what();
  EXPECT_EQ(song->notes.size(), json["notes"]);
  ASSERT_EQ(song->tempi.size(), 1u);
  EXPECT_NEAR(60e6 / song->tempi[0].microseconds, 77, 0.01);
  EXPECT_THAT(read_whole(scratch_.path("tune.svg")), HasSubstr("</svg>"));
  const std::string first = read_whole(tune_);
  EXPECT_EQ(create({"-o", tune_, "--bars", "3"}).exit_code, 2) << "it exists";
  EXPECT_EQ(create({"-o", tune_, "--bars", "3", "--key", "F#m", "--tempo", "77", "--seed", "5",
                    "--force"})
                .exit_code,
            0);
  EXPECT_EQ(read_whole(tune_), first) << "the same seed, the same tune";
}

TEST_F(CreateMusic, GoesOnFromAnOpening) {
  const std::string opening = scratch_.write("opening.mid", midi_bytes(song(3)));
  const Outcome outcome =
      create({"-o", tune_, "--prompt", opening, "--bars", "2", "--seed", "1", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(Json::parse(outcome.out)["bars"], 6);
  EXPECT_EQ(Json::parse(outcome.out)["key"], key_name(find_key(song(3))));
  const auto written = read_midi(tune_);
  ASSERT_TRUE(written.ok());
  for (const Note& note : song(3).notes)
    EXPECT_THAT(written->notes,
                testing::Contains(testing::AllOf(testing::Field(&Note::start, note.start),
                                                 testing::Field(&Note::pitch, note.pitch))));
}

TEST_F(CreateMusic, ComparesWithWhatWasLearnedAndWhatWasNot) {
  const std::string held_out = scratch_.write("held-out.mid", midi_bytes(song(1)));
  const Outcome outcome = create({"-o", tune_, "--bars", "2", "--compare", folder_->path("music"),
                                  "--held-out", held_out, "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out), heard = json["held_out"];
  EXPECT_TRUE(json["key"] == "C" || json["key"] == "Am");
  EXPECT_EQ(json["training"]["pieces"], 4);
  EXPECT_EQ(heard["notes"], 16);
  EXPECT_EQ(heard["share_in_key"], 1);
  EXPECT_LT(heard["k_gram_nll_per_note"], 0.5) << "the same scale stands in what was learned";
  EXPECT_GT(heard["nll_per_note"], 5) << "three steps teach nothing";
  EXPECT_LT(heard["mixture_nll_per_note"], heard["k_gram_nll_per_note"].get<double>() + 0.3);
  EXPECT_LE(heard["longest_match_median"], 16);
}

TEST_F(CreateMusic, ErrorsNameFileAndPlace) {
  const auto expect = [&](int exit_code, std::vector<std::string> arguments, const char* text) {
    const Outcome outcome = create(std::move(arguments));
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.error;
    EXPECT_THAT(outcome.error, HasSubstr(text));
  };
  const std::string cut = scratch_.write("cut.mid", midi_bytes(song(0)).substr(0, 60));
  expect(3, {"-o", tune_, "--prompt", cut}, "cut.mid: track 2: byte 34: cut off");
  expect(3, {"-o", tune_, "--prompt", scratch_.write("silent.mid", midi_bytes(Song()))},
         "no notes");
  expect(3, {"-o", tune_, "--compare", cut}, "1 broken");
  expect(2, {"-o", tune_, "--key", "H"}, "'H' is no key");
  expect(2, {"-o", tune_, "--bars", "0"}, "--bars");
  expect(2, {"-o", tune_, "--held-out", cut}, "--compare");
  const std::string text_model = scratch_.path("tiny.gguf");
  write_tiny_llama(text_model);
  const Outcome outcome =
      run_program({"create", "music", text_model, "-o", scratch_.path("none.mid")});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.error, HasSubstr("the model makes text"));
  EXPECT_THAT(run_program({"run", model_, "-p", "x"}).error, HasSubstr("enxuto create music"));
}

}  // namespace
}  // namespace enxuto
