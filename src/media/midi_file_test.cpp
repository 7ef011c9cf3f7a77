// MIDI files: another's (mido, tools/golden_midi.py), such as are cut off or lie, and back.
#include "media/midi_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "formats/json.h"

namespace enxuto {
namespace {

using std::string;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

string bytes(std::initializer_list<int> values) {
  string all;
  for (const int value : values) all += static_cast<char>(value);
  return all;
}

string chunk(const string& name, const string& content) {
  const auto n = static_cast<int>(content.size());
  return name + bytes({n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255}) + content;
}

string header(int format, int tracks, int division) {
  return chunk("MThd",
               bytes({0, format, tracks >> 8, tracks & 255, division >> 8, division & 255}));
}

const string kEnd = bytes({0, 0xFF, 0x2F, 0});

string one_track(const string& events) { return header(0, 1, 96) + chunk("MTrk", events + kEnd); }

Result<Song> parse(const string& file) {
  return parse_midi({reinterpret_cast<const uint8_t*>(file.data()), file.size()});
}

string error(const string& file) {
  const auto song = parse(file);
  EXPECT_EQ(song.status().code(), Code::kBadInput);
  return song.status().what();
}

TEST(MidiFile, ReadsWhatMidoWrote) {
  const string folder = string(ENXUTO_SOURCE_DIR) + "/src/media/testdata/";
  const auto song = read_midi(folder + "mido.mid");
  ASSERT_TRUE(song.ok()) << song.status().what();
  const auto said = Json::read(folder + "mido.json", 1 << 20);
  ASSERT_TRUE(said.ok());
  EXPECT_EQ(song->ticks_per_quarter, json_unsigned(said->root, "ticks_per_quarter"));
  std::vector<Note> notes;
  const auto said_notes = json_array(said->root, "notes");
  ASSERT_TRUE(said_notes);
  for (const JsonElement each : *said_notes) {
    const auto number = [&](size_t i) { return each.at(i).get_uint64().value(); };
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(number(i)); };
    notes.push_back({number(0), number(1), byte(2), byte(3), byte(4)});
  }
  std::ranges::sort(notes);
  ASSERT_EQ(notes.size(), 120u);
  EXPECT_EQ(song->notes, notes);
  EXPECT_THAT(song->tempi, ElementsAre(TempoChange{0, 612345}, TempoChange{1440, 400000}));
  EXPECT_THAT(song->meters, ElementsAre(MeterChange{0, 6, 8}, MeterChange{2880, 3, 4}));
}

TEST(MidiFile, ReadsRunningStatusAndEndsByVelocityZero) {
  const auto song = parse(one_track(bytes({0, 0x90, 60, 100, 0, 64, 90, 96, 60, 0, 0, 64, 0})));
  ASSERT_TRUE(song.ok()) << song.status().what();
  EXPECT_THAT(song->notes, ElementsAre(Note{0, 96, 0, 60, 100}, Note{0, 96, 0, 64, 90}));
}

TEST(MidiFile, ChannelsOfAllTracksShareTheirPrograms) {
  const string notes =
      chunk("MTrk", bytes({0, 0x91, 60, 100, 96, 60, 0, 0, 62, 90, 96, 62, 0}) + kEnd);
  const string programs = chunk("MTrk", bytes({0, 0xC1, 5, 96, 0xC1, 7}) + kEnd);
  const auto song = parse(header(1, 2, 96) + notes + chunk("XFIH", "skipped") + programs);
  ASSERT_TRUE(song.ok()) << song.status().what();
  EXPECT_THAT(song->notes, ElementsAre(Note{0, 96, 5, 60, 100}, Note{96, 96, 7, 62, 90}));
}

TEST(MidiFile, TracksOfFormat2FollowOneAnother) {
  const string track = chunk("MTrk", bytes({0, 0x99, 38, 100, 96, 0x89, 38, 0}) + kEnd);
  const auto song = parse(header(2, 2, 96) + track + track);
  ASSERT_TRUE(song.ok());
  EXPECT_THAT(song->notes,
              ElementsAre(Note{0, 96, kDrums, 38, 100}, Note{96, 96, kDrums, 38, 100}));
}

TEST(MidiFile, TicksOfSecondsAreAt120) {
  const string beat = bytes({0, 0xFF, 0x51, 3, 1, 2, 3, 0, 0x90, 60, 9, 25, 60, 0});
  const auto song = parse(header(0, 1, (256 - 25) << 8 | 2) + chunk("MTrk", beat + kEnd));
  ASSERT_TRUE(song.ok()) << song.status().what();
  EXPECT_EQ(song->ticks_per_quarter, 50u);
  EXPECT_THAT(song->notes, ElementsAre(Note{0, 50, 0, 60, 9})) << "half a second: a quarter";
  EXPECT_THAT(song->tempi, IsEmpty());
}

TEST(MidiFile, EndsNotesWithTheirTrackWhereNothingElseDoes) {
  const auto song =
      parse(header(0, 1, 96) + chunk("MTrk", bytes({0, 0x90, 60, 9, 0, 60, 8, 5, 0xB0, 1, 1})));
  ASSERT_TRUE(song.ok()) << song.status().what();
  EXPECT_THAT(song->notes, ElementsAre(Note{0, 1, 0, 60, 9}, Note{0, 5, 0, 60, 8}));
}

TEST(MidiFile, SaysWhereItIsBroken) {
  EXPECT_THAT(error(""), HasSubstr("byte 0: no MIDI file"));
  EXPECT_THAT(error("RIFF some other file"), HasSubstr("byte 0: no MIDI file"));
  EXPECT_THAT(error(header(3, 1, 96)), HasSubstr("byte 8: unknown format 3"));
  EXPECT_THAT(error(header(0, 0, 96)), HasSubstr("no tracks"));
  EXPECT_THAT(error(header(0, 1, 0)), HasSubstr("byte 12: a quarter note has no ticks"));
  EXPECT_THAT(error(header(0, 1, 0xE700)), HasSubstr("no ticks"));
  EXPECT_THAT(error(header(0, 1, 0x9001)), HasSubstr("112 frames in a second"));
  EXPECT_THAT(error(one_track(bytes({0, 0xFF, 0x51, 3, 0, 0, 0}))),
              HasSubstr("track 1: byte 26: a tempo of zero"));
  EXPECT_THAT(error(one_track(bytes({0, 0xFF, 0x51, 2, 0, 0}))), HasSubstr("a tempo has three"));
  EXPECT_THAT(error(one_track(bytes({0, 0xFF, 0x58, 2, 0, 2}))), HasSubstr("signature of 0 beats"));
  EXPECT_THAT(error(one_track(bytes({0, 60, 100}))), HasSubstr("data without an event before it"));
  EXPECT_THAT(error(one_track(bytes({0, 0x90, 200, 1}))),
              HasSubstr("0xc8 where a number below 128"));
  EXPECT_THAT(error(one_track(bytes({0, 0xF4}))), HasSubstr("0xf4 is no event of a file"));
  EXPECT_THAT(error(one_track(bytes({0x80, 0x80, 0x80, 0x80, 0}))),
              HasSubstr("more than four bytes"));
  EXPECT_THAT(error(one_track(bytes({0, 0xFF, 1, 90, 65}))),
              HasSubstr("a meta event says it has 90"));
  EXPECT_THAT(error(header(1, 2, 96) + chunk("MTrk", kEnd)),
              HasSubstr("track 2: byte 26: cut off: the header says 2 tracks, and 1 are there"));
}

TEST(MidiFile, RefusesEveryFileThatIsCutOff) {
  const string file = one_track(bytes({0, 0xC0, 5, 0, 0x90, 60, 100, 0x81, 0, 0x80, 60, 0}));
  for (size_t n = 0; n < file.size(); ++n) EXPECT_NE(error(file.substr(0, n)), "") << n;
}

TEST(MidiFile, ManyTracksCostNoMoreThanTheirBytes) {
  string file = header(1, 65535, 96);
  for (int i = 0; i < 65535; ++i) file += chunk("MTrk", kEnd);
  const auto start = std::chrono::steady_clock::now();
  const auto song = parse(file);
  ASSERT_TRUE(song.ok()) << song.status().what();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_THAT(error(header(1, 65535, 96) + chunk("MTrk", kEnd)), HasSubstr("says 65535 tracks"));
}

TEST(MidiFile, ReadsItsOwnFiles) {
  Song song;
  for (uint8_t i = 0; i < 16; ++i) {
    const auto instrument = i == 15 ? kDrums : static_cast<uint8_t>(8 * i);
    song.notes.push_back({i * 100u, 480, instrument, 60, static_cast<uint8_t>(i + 1)});
    song.notes.push_back({i * 100u + 480, 1u << 20, instrument, 60, 9});
  }
  std::ranges::sort(song.notes);
  song.tempi = {{0, 400000}, {1920, 16'000'000}};
  song.meters = {{0, 3, 4}, {1440, 12, 8}};
  const auto read = parse(midi_bytes(song));
  ASSERT_TRUE(read.ok()) << read.status().what();
  EXPECT_EQ(*read, song);
}

}  // namespace
}  // namespace enxuto
