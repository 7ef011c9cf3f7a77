// Songs into events and back, what the grammar lets through, keys, and the codec's files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "media/media_vocabulary.h"
#include "media/midi_file.h"
#include "media/music_codec.h"
#include "media/music_grid.h"
#include "media/music_rules.h"
#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

using std::string;
using testing::ElementsAre;
using testing::HasSubstr;

const MusicTokens kTokens(10);  // 0: <|endoftext|>
const size_t kVocabulary = 10 + event_names().size();

// Any sequence that the rules let through.
std::vector<Token> random_piece(uint64_t seed, const MusicWishes& wishes) {
  MusicRules rules(kTokens, kVocabulary, 0, wishes);
  std::mt19937_64 random(seed);
  std::vector<Token> piece = {0};
  rules.accept(0);
  for (;;) {
    std::vector<Token> choices;
    rules.allowed().for_each([&](Token token) { choices.push_back(token); });
    if (choices.empty()) return piece;
    std::erase_if(choices, [](Token token) {  // as far as any key moves them
      return kTokens.event(token) == Event::kPitch &&
             (kTokens.index(token) < 6 || kTokens.index(token) > 121);
    });
    if (choices.empty()) continue;
    // Kinds of events by chance, so that drums, bars and the like all come.
    const Event kind = kTokens.event(choices[random() % choices.size()]);
    if (random() % 2)
      std::erase_if(choices, [&](Token token) { return kTokens.event(token) == kind; });
    if (choices.empty()) continue;
    piece.push_back(choices[random() % choices.size()]);
    rules.accept(piece.back());
  }
}

Song tune() {
  Song song;
  song.ticks_per_quarter = 480;
  song.notes = {{0, 480, 52, 67, 80},
                {0, 480, 52, 60, 80},
                {480, 240, 52, 65, 80},
                {480, 100, kDrums, 38, 120},
                {2000, 960, 0, 64, 80}};
  return song;
}

string text(const std::vector<Token>& tokens) {
  const std::vector<string> names = event_names();
  string all;
  for (const Token token : tokens) all += token == 0 ? "|" : names[static_cast<size_t>(token - 10)];
  return all;
}

TEST(MusicEvents, SaysBarsPositionsAndWhatChanges) {
  const auto grid = on_grid(tune());
  ASSERT_TRUE(grid.ok());
  EXPECT_EQ(text(encode_music(kTokens, *grid, Key{}, true)),
            "<major><bar><meter 4/4><tempo 120>"
            "<position 0><instrument 52><velocity 5><pitch 67><duration 12><pitch 60><duration 12>"
            "<position 12><pitch 65><duration 6><velocity 7><drum 38>"
            "<final bar><position 2><instrument 0><velocity 5><pitch 64><duration 24>");
  EXPECT_THAT(text(encode_music(kTokens, *grid, Key{2, false}, false)), HasSubstr("<pitch 65>"))
      << "D major is moved to C";
}

TEST(MusicEvents, WhatTheGrammarLetsThroughIsASongThatStaysItself) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const auto piece = random_piece(seed, {.minor = {}, .bars = seed % 5 + 1, .tempo = {}});
    ASSERT_EQ(piece.back(), 0);
    const int tonic = static_cast<int>(seed % 12);
    const auto song = decode_music(kTokens, piece, tonic);
    ASSERT_TRUE(song.ok()) << song.status().what();
    if (song->notes.empty()) continue;
    const string file = midi_bytes(in_fine_ticks(*song));
    const auto read = parse_midi({reinterpret_cast<const uint8_t*>(file.data()), file.size()});
    ASSERT_TRUE(read.ok()) << read.status().what();
    EXPECT_EQ(*on_grid(*read), *song) << seed << text(piece);
    const Key key{tonic, kTokens.index(piece[1]) == 1};
    const auto again = encode_music(kTokens, *song, key, true);
    EXPECT_EQ(*decode_music(kTokens, again, tonic), *song) << seed;
    MusicRules rules(kTokens, kVocabulary, 0, {});
    rules.accept(0);
    for (const Token token : again) {
      ASSERT_TRUE(rules.allowed().contains(token)) << seed << text(again);
      rules.accept(token);
    }
    EXPECT_TRUE(rules.allowed().contains(0)) << "the piece is complete";
  }
}

TEST(MusicRules, KeepsToWishes) {
  const auto piece = random_piece(3, {.minor = true, .bars = 7, .tempo = 4});
  EXPECT_THAT(text(piece), HasSubstr("|<minor><bar><meter"));
  int bars = 0;
  for (const Token token : piece) {
    bars += kTokens.event(token) == Event::kBar || kTokens.event(token) == Event::kFinalBar;
    if (kTokens.event(token) == Event::kTempo) {
      EXPECT_EQ(kTokens.index(token), 4u);
    }
  }
  EXPECT_EQ(bars, 7);
}

TEST(MusicGrid, RoundsToWhatThereIs) {
  Song song = tune();
  song.ticks_per_quarter = 100;
  song.notes = {{49, 37, 0, 60, 1}, {60, 500, 0, 60, 127}};
  song.meters = {{0, 13, 16}, {0, 6, 16}};
  song.tempi = {{0, 60'000'000 / 93}};
  const auto grid = on_grid(song);
  ASSERT_TRUE(grid.ok());
  EXPECT_THAT(grid->notes, ElementsAre(Note{6, 1, 0, 60, 8}, Note{7, 60, 0, 60, 120}))
      << "the first is cut where its pitch begins again";
  EXPECT_THAT(grid->meters, ElementsAre(MeterChange{0, 3, 8})) << "as long as 6/16";
  EXPECT_NEAR(60e6 / grid->tempi[0].microseconds, 93, 93 * 0.045);
}

TEST(MusicGrid, RefusesWhatHasNoEnd) {
  Song song = tune();
  song.notes[4].start = uint64_t{1} << 50;
  EXPECT_THAT(on_grid(song).status().what(), HasSubstr("more than 4096 bars"));
}

TEST(MusicGrid, LeavesOutInstrumentsForWhichThereIsNoChannel) {
  Song song;
  for (uint8_t i = 0; i < 20; ++i) {
    song.notes.push_back({i, 1, i, 60, 64});
    if (i > 4) song.notes.push_back({i + 2000u, 1, i, 60, 64});
  }
  const auto grid = on_grid(song);
  ASSERT_TRUE(grid.ok());
  EXPECT_EQ(grid->notes.size(), 30u) << "the fifteen with two notes";
}

TEST(MusicKey, ReadsAndWritesNames) {
  EXPECT_EQ(parse_key("C"), (Key{0, false}));
  EXPECT_EQ(parse_key("a"), (Key{9, true}));
  EXPECT_EQ(parse_key("F#m"), (Key{6, true}));
  EXPECT_EQ(parse_key("Bb"), (Key{10, false}));
  EXPECT_EQ(parse_key("b"), (Key{11, true}));
  EXPECT_EQ(parse_key("Cb"), (Key{11, false}));
  for (const char* bad : {"", "H", "C#x", "Cmm", "F##", "1"}) EXPECT_FALSE(parse_key(bad)) << bad;
  for (int tonic = 0; tonic < 12; ++tonic)
    for (const bool minor : {false, true})
      EXPECT_EQ(parse_key(key_name({tonic, minor})), (Key{tonic, minor}));
}

TEST(MusicKey, FindsThatOfACadence) {
  for (int up = 0; up < 12; ++up) {
    Song song;
    uint64_t at = 0;
    for (const auto& chord :
         {std::vector{60, 64, 67}, {65, 69, 72}, {67, 71, 74, 77}, {60, 64, 72}}) {
      for (const int pitch : chord)
        song.notes.push_back({at, 480, 0, static_cast<uint8_t>(pitch + up), 64});
      at += 480;
    }
    EXPECT_EQ(find_key(song), (Key{up, false}));
    EXPECT_EQ(share_in_key(song, Key{up, false}), 1);
    EXPECT_LT(share_in_key(song, Key{(up + 6) % 12, false}), 0.5);
    EXPECT_EQ((up + shift_to_c(Key{up, false}) + 12) % 12, 0);
  }
}

class MusicFiles : public testing::Test {
 protected:
  string write(const string& name) { return scratch_.write(name, midi_bytes(tune())); }
  Result<DataCounts> tokens_of(const std::vector<string>& paths) {
    return codec_->write_tokens(paths, 7, scratch_.path("tokens"), {});
  }
  ScratchFolder scratch_;
  std::unique_ptr<MediaCodec> codec_ = std::move(learn_codec("music", {}, {})).value();
};

TEST_F(MusicFiles, BecomeTokensAndBrokenOnesAreNamed) {
  write("all/a.mid"), write("all/sub/b.mid");
  scratch_.write("all/notes.txt", "no music");
  scratch_.write("all/bad.mid", midi_bytes(tune()).substr(0, 40));
  scratch_.write("all/silent.mid", midi_bytes(Song()));
  const auto counts = tokens_of({scratch_.path("all")});
  ASSERT_TRUE(counts.ok()) << counts.status().what();
  EXPECT_EQ(counts->documents, 2u);
  EXPECT_EQ(counts->corrupt, 1u);
  EXPECT_EQ(counts->empty, 1u);
  EXPECT_EQ(counts->skipped_files, 1u);
  EXPECT_THAT(counts->first_corrupt, HasSubstr("all/bad.mid: track 2: byte"));
  const auto file = TokenFile::open(scratch_.path("tokens"));
  ASSERT_TRUE(file.ok());
  std::vector<Token> tokens(file->n_tokens());
  file->read(0, tokens);
  EXPECT_EQ(tokens.front(), 0);
  EXPECT_EQ(tokens.back(), 0);
  EXPECT_EQ(std::ranges::count(tokens, 0), 3);
}

TEST_F(MusicFiles, AreAnErrorWhereNoneCanBeUsed) {
  const string bad = scratch_.write("bad.mid", midi_bytes(tune()).substr(0, 24));
  const Status status = tokens_of({bad}).status();
  EXPECT_EQ(status.code(), Code::kBadInput);
  EXPECT_THAT(status.what(), HasSubstr("1 broken"));
  EXPECT_THAT(status.what(), HasSubstr("bad.mid: track 1"));
}

TEST_F(MusicFiles, AModelOfOtherTokensIsRefused) {
  ASSERT_TRUE(codec_of(codec_->metadata()).ok());
  for (const uint32_t first : {0u, 258u, 4'000'000'000u}) {
    Metadata changed = codec_->metadata();
    changed.set_u32("enxuto.media.music.first", first);
    EXPECT_EQ(codec_of(changed).status().code(), Code::kBadInput) << first;
  }
  for (const char* key : {"enxuto.media.music.first", kMediaContext, "tokenizer.ggml.tokens"}) {
    Metadata changed = codec_->metadata();
    changed.erase(key);
    EXPECT_EQ(codec_of(changed).status().code(), Code::kBadInput) << key;
  }
}

}  // namespace
}  // namespace enxuto
